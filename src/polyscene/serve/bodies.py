"""Reading what a client sends: limits first, then one typed parse, and replies as JSON."""

import asyncio
import re
from hashlib import blake2b
from typing import Any, TypeVar

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from polyscene.core.errors import nearest
from polyscene.events.log import Once
from polyscene.serve.house import house
from polyscene.serve.problems import RequestError
from polyscene.serve.wire.base import Id

T = TypeVar("T", bound=msgspec.Struct)
_KEY = re.compile(r"[\x20-\x7e]{1,255}")
_decoders: dict[type, msgspec.json.Decoder[Any]] = {}


async def read_body(request: Request, shape: type[T]) -> T:
    """The body as a `shape`; unknown fields are refused by name.

    Raises:
        RequestError: 413 too large, 415 not JSON, 408 too slow, 400 not parseable, 422 wrong type or range.
    """
    return decode(await _raw(request), shape)


async def read_once(request: Request, shape: type[T]) -> tuple[T, Once | None]:
    """The body as a `shape`, and the idempotency key that it came under. Raises as `read_body` does."""
    raw = await _raw(request)
    return decode(raw, shape), once_of(request, raw)


def once_of(request: Request, body: bytes = b"") -> Once | None:
    """The idempotency key of a request, bound to what the request says; None without one.

    Raises:
        RequestError: 422; the header is empty, too long, or there are several.
    """
    given = request.headers.getlist("idempotency-key")
    if not given:
        return None
    if len(given) > 1 or not _KEY.fullmatch(given[0]):
        raise RequestError(
            422, "header: Idempotency-Key: expected one, of 1 to 255 printable ASCII characters"
        )
    digest = blake2b(digest_size=16)
    scope = request.scope
    for part in (scope["method"].encode(), scope["path"].encode(), scope["query_string"], body):
        digest.update(b"%d " % len(part) + part)
    return Once(given[0], digest.digest())


def decode(raw: bytes, shape: type[T]) -> T:
    """The JSON text as a `shape`. Raises as `read_body` does."""
    decoder = _decoders.get(shape)
    if decoder is None:
        decoder = _decoders[shape] = msgspec.json.Decoder(shape)
    try:
        value: T = decoder.decode(raw)
    except msgspec.ValidationError as error:
        raise RequestError(422, f"body: {_with_hint(str(error), shape)}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RequestError(400, f"body: not JSON in UTF-8: {error}") from error
    except RecursionError as error:
        raise RequestError(400, "body: nested too deeply") from error
    return value


def read_params(request: Request, shape: type[T]) -> T:
    """The query string as a `shape`; a field typed as a list may be given more than once.

    Raises:
        RequestError: 422 for an unknown or repeated parameter, a wrong type or range.
    """
    fields = {field.name: field for field in msgspec.structs.fields(shape)}
    values: dict[str, Any] = {}
    for name, text in request.query_params.multi_items():
        if name not in fields:
            raise RequestError(422, f"query: unknown parameter {name!r}{nearest(name, fields)}")
        if isinstance(fields[name].default_factory, type):
            values.setdefault(name, []).append(text)
        elif name in values:
            raise RequestError(422, f"query: {name!r} is given twice")
        else:
            values[name] = text
    try:
        return msgspec.convert(values, shape, strict=False)
    except msgspec.ValidationError as error:
        raise RequestError(422, f"query: {error}") from error


def path_id(request: Request) -> str:
    """The id in the path.

    Raises:
        RequestError: 422 when it is too long or has control characters.
    """
    try:
        return msgspec.convert(request.path_params["id"], Id)
    except msgspec.ValidationError as error:
        raise RequestError(422, f"path: id: {error}") from error


def json_reply(value: object, status: int = 200) -> Response:
    """`value` as JSON."""
    return Response(msgspec.json.encode(value), status, media_type="application/json")


def check_head(request: Request, media: str, most: int) -> None:
    """Passes if the headers announce a plain body of type `media` with at most `most` bytes.

    Raises:
        RequestError: 415 another type or a packed body, 413 too large.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != media:
        raise RequestError(415, f"body: Content-Type is {kind!r}; send {media}")
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise RequestError(415, f"body: Content-Encoding is not read here; send plain {media}")
    declared = request.headers.get("content-length", "0")
    if declared.isdecimal() and int(declared[:18]) > most:
        raise RequestError(413, f"body: {declared[:18]} bytes; at most {most} are read, send less at once")


async def _raw(request: Request) -> bytes:
    settings = house(request).settings
    check_head(request, "application/json", settings.max_body)
    try:
        async with asyncio.timeout(settings.body_timeout_s):
            return await _at_most(request, settings.max_body)
    except TimeoutError as error:
        raise RequestError(408, f"body: not complete after {settings.body_timeout_s:g} s") from error
    except ClientDisconnect as error:
        raise RequestError(400, "body: the client went away") from error


async def _at_most(request: Request, limit: int) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise RequestError(413, f"body: more than {limit} bytes; send less at once")
    return bytes(body)


def _with_hint(message: str, shape: type[msgspec.Struct]) -> str:
    """The nearest known name after msgspec's "unknown field", for fields of the body itself."""
    _, _, name = message.partition("unknown field `")
    if not name or " - at" in name:
        return message
    return message + nearest(name.rstrip("`"), [field.name for field in msgspec.structs.fields(shape)])
