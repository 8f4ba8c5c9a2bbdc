"""The OpenAPI 3.1 document, made from the same operations and types that answer."""

import re
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

import msgspec

from polyscene import __version__
from polyscene.serve.operations import NDJSON, Operation
from polyscene.serve.problems import Problem
from polyscene.serve.sessions import COOKIE

_ONCE = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "Of your choice: the same request sent again under it within a day is not done again",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[ -~]+$"},
}
_REF = "#/components/schemas/{name}"
_HOLE = re.compile(r"\{(\w+)(?::\w+)?\}")


def openapi(operations: Iterable[Operation]) -> dict[str, Any]:
    """The document for a table of operations."""
    operations = tuple(operations)
    types = [kind for each in operations for kind in (each.body, each.reply) if kind is not None]
    schemas, components = msgspec.json.schema_components([*types, Problem], ref_template=_REF)
    schema_of = dict(zip([*map(_key, types), _key(Problem)], schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for each in operations:
        paths.setdefault(_HOLE.sub(r"{\1}", each.path), {})[each.method.lower()] = _operation(
            each, schema_of
        )
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Polyscene",
            "version": __version__,
            "description": "Events in, recommendations out. Times are UTC milliseconds; ids are yours.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "key": {"type": "http", "scheme": "bearer"},
                "session": {"type": "apiKey", "in": "cookie", "name": COOKIE},
            },
        },
    }


def _operation(each: Operation, schema_of: dict[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {
        "operationId": each.name,
        "summary": each.summary,
        "tags": [each.path.strip("/").split("/")[-1 if each.path.count("/") == 1 else 1]],
        "parameters": [
            *_path_parameters(each.path),
            *_query_parameters(each.params),
            *([_ONCE] if each.once else []),
        ],
        "responses": {"200": _reply(each, schema_of)}
        | {str(status): _problem(status) for status in _problems_of(each)},
    }
    if each.role != "open":
        made["security"] = [{"key": []}, {"session": []}, {}]
        made["description"] = f"Where the service has keys: needs the role `{each.role}`."
    if each.body is not None:
        made["requestBody"] = {"required": True, "content": {each.body_media: _body(each, schema_of)}}
    return made


def _body(each: Operation, schema_of: dict[str, Any]) -> dict[str, Any]:
    schema = schema_of[_key(each.body)]
    if each.body_media != NDJSON:
        return {"schema": schema, "example": each.body_example}
    lines = {"type": "string", "description": "One JSON object a line", "contentSchema": schema}
    return {
        "schema": lines | {"contentMediaType": "application/json"},
        "example": msgspec.json.encode(each.body_example).decode() + "\n",
    }


def _problems_of(each: Operation) -> list[int]:
    """Those the operation names, and those that any caller may get."""
    full = (507,) if each.once else ()
    return sorted({*each.problems, *full, *((401, 403, 429) if each.role != "open" else (401, 403))})


def _reply(each: Operation, schema_of: dict[str, Any]) -> dict[str, Any]:
    if each.reply is None:
        return {"description": "Done", "content": {each.media: {"schema": {"type": "string"}}}}
    content = {"schema": schema_of[_key(each.reply)], "example": each.reply_example}
    return {"description": "Done", "content": {each.media: content}}


def _problem(status: int) -> dict[str, Any]:
    example = Problem(title=HTTPStatus(status).phrase, status=status, detail="what came, and what to do")
    content = {"schema": {"$ref": _REF.format(name="Problem")}, "example": msgspec.to_builtins(example)}
    return {"description": HTTPStatus(status).phrase, "content": {"application/problem+json": content}}


def _path_parameters(path: str) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "maxLength": 512}}
        for name in _HOLE.findall(path)
    ]


def _query_parameters(params: Any) -> list[dict[str, Any]]:
    if params is None:
        return []
    _, components = msgspec.json.schema_components([params], ref_template=_REF)
    properties = components[params.__name__]["properties"]
    return [{"name": name, "in": "query", "schema": schema} for name, schema in properties.items()]


def _key(kind: Any) -> str:
    return str(kind)
