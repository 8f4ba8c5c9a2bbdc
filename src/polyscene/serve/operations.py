"""One operation of the API: the route table and the OpenAPI document are both made of these."""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from polyscene.serve.admission import admit

PATTERN = "polyscene.pattern"
"""Where a request's scope tells the path pattern, for counters and logs, which must not grow with ids."""
NDJSON = "application/x-ndjson"
Handler = Callable[[Request], Awaitable[Response]]
Role = Literal["open", "read", "write", "admin"]
"""What a key must be allowed to do; each includes those before it. `open` needs no key."""


@dataclass(frozen=True, slots=True)
class Operation:
    """A method on a path.

    `role` is what the caller's key must be allowed to do. `params`, `body` and `reply` are msgspec types; a
    `reply` of None is a text of the media type `media`. The examples are JSON data. `problems` are the
    statuses besides success. `body_media` NDJSON: the body has one `body` a line. With `once` a request
    under an Idempotency-Key is done once, however often it is sent.
    """

    method: str
    path: str
    handler: Handler
    summary: str
    role: Role = "read"
    params: Any = None
    body: Any = None
    reply: Any = None
    media: str = "application/json"
    body_example: Any = None
    reply_example: Any = None
    problems: tuple[int, ...] = ()
    body_media: str = "application/json"
    once: bool = False

    @property
    def name(self) -> str:
        """The handler's name; unique, and what OpenAPI calls the operation id."""
        return str(getattr(self.handler, "__name__", self.path))


def group_of(path: str) -> str:
    """The resource of a path pattern: ``items`` for ``/v1/items/{id}``, ``pages`` for what is no API."""
    parts = path.split("/")
    if parts[0]:
        return path
    return parts[2] if len(parts) > 2 and parts[1] == "v1" else "pages"


def routes_of(operations: Iterable[Operation]) -> list[Route]:
    """One route per path, in the order of the operations: of two that match, the earlier one answers."""
    by_path: dict[str, dict[str, Operation]] = {}
    for operation in operations:
        by_path.setdefault(operation.path, {})[operation.method] = operation
    return [_route(path, by_method) for path, by_method in by_path.items()]


def _route(path: str, by_method: dict[str, Operation]) -> Route:
    async def endpoint(request: Request) -> Response:
        request.scope[PATTERN] = path
        operation = by_method["GET" if request.method == "HEAD" else request.method]
        admit(request, operation.role, has_body=operation.body is not None)
        return await operation.handler(request)

    return Route(path, endpoint, methods=list(by_method))
