"""Requests made from the OpenAPI document by schemathesis, and what is wrong with the answers."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

SERVER_ERRORS_THAT_MAY_BE = frozenset({503})
OF_THE_LINE = frozenset({414, 431})
"""Refusals of an address or head before it is anybody's request, so no operation lists them."""


@dataclass
class Findings:
    """What a run found: how many requests, their statuses, and each breach once with how to repeat it."""

    requests: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    breaches: dict[str, str] = field(default_factory=dict)


def fuzz(
    url: str, document: dict[str, Any], cases: int, seed: int = 0, skip: Callable[[str], bool] | None = None
) -> Findings:
    """Sends about `cases` requests to the service at `url`, shared out over all operations.

    Half of them keep to the document, half break it on purpose. A breach is a 5xx other than 503, a status,
    media type or body that the document does not tell of, or no answer at all. `skip` takes out operations
    by their label, such as ``POST /v1/jobs``.
    """
    import requests
    import schemathesis

    schemathesis.serializer("application/x-ndjson")(_lines)
    found = Findings()
    operations = [
        each
        for each in _operations(schemathesis.openapi.from_dict(document))
        if skip is None or not skip(each.label)
    ]
    each_gets = max(2, -(-cases // len(operations)))
    with requests.Session() as session:
        for number, operation in enumerate(operations):
            for mode, share in (("positive", each_gets - each_gets // 2), ("negative", each_gets // 2)):
                _run(operation, mode, share, seed * 1_000 + number, (url, session, found))
    return found


def _lines(context: Any, value: Any) -> bytes:
    """A body of lines; what is no text, which the document asks for, is sent as one line of JSON."""
    return (value if isinstance(value, str) else json.dumps(value)).encode("utf-8", "surrogatepass")


def _operations(schema: Any) -> Iterator[Any]:
    for result in schema.get_all_operations():
        yield result.ok()


def _run(operation: Any, mode: str, cases: int, seed: int, where: tuple[str, Any, Findings]) -> None:
    import hypothesis
    from hypothesis.errors import HypothesisException
    from schemathesis import GenerationMode

    url, session, found = where

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=cases,
        deadline=None,
        database=None,
        suppress_health_check=list(hypothesis.HealthCheck),
        phases=[hypothesis.Phase.generate],
    )
    @hypothesis.given(case=operation.as_strategy(generation_mode=GenerationMode(mode)))
    def send(case: Any) -> None:
        _judge(case, url, session, found)

    try:
        send()
    except HypothesisException as problem:
        # an operation without parameters can't be asked wrongly
        if "Unsatisfiable" not in type(problem).__name__:
            raise


def _judge(case: Any, url: str, session: Any, found: Findings) -> None:
    import requests
    from schemathesis import checks
    from schemathesis.core.failures import FailureGroup

    label = f"{case.method} {case.operation.path}"
    try:
        reply = case.call(base_url=url, session=session)
    except requests.RequestException as problem:
        found.breaches.setdefault(f"{label}: no answer: {type(problem).__name__}", case.as_curl_command())
        return
    found.requests += 1
    found.statuses[reply.status_code] += 1
    if reply.status_code >= 500 and reply.status_code not in SERVER_ERRORS_THAT_MAY_BE:
        found.breaches.setdefault(f"{label}: {reply.status_code}", case.as_curl_command())
    if b"Traceback" in reply.content:
        found.breaches.setdefault(f"{label}: a traceback", case.as_curl_command())
    if reply.status_code in OF_THE_LINE or b'"detail":"nothing lives at' in reply.content:
        return  # an empty id, or one with a line break, makes a path that is none of this operation
    try:
        case.validate_response(
            reply,
            checks=[
                checks.status_code_conformance,
                checks.content_type_conformance,
                checks.response_schema_conformance,
            ],
        )
    except FailureGroup as group:
        for failure in group.exceptions:
            text = f"{label}: {reply.status_code}: {failure.title}: {failure.message}"
            found.breaches.setdefault(text[:400], case.as_curl_command())
