"""Errors as clients see them: RFC 9457 problem documents, never a traceback."""

from http import HTTPStatus

import msgspec
import structlog
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from polyscene.core.errors import (
    BusyError,
    CanaryError,
    ConflictError,
    FullError,
    InputError,
    NotFoundError,
    PolysceneError,
)
from polyscene.serve.settings import HEADERS

RETRY_AFTER_S = 1
_log = structlog.get_logger(__name__)


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What went wrong, for a program (`type`, `status`) and for a person (`title`, `detail`)."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    request: str = ""


class RequestError(PolysceneError):
    """A request that is refused before it reaches the engine, with its HTTP status."""

    def __init__(self, status: int, detail: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = headers


def problem(request: Request, status: int, detail: str, headers: dict[str, str] | None = None) -> Response:
    """A problem document; `request` names the log lines that belong to it."""
    body = Problem(
        title=HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        request=str(request.scope.get("polyscene.request", "")),
    )
    return Response(msgspec.json.encode(body), status, headers, "application/problem+json")


async def on_request_error(request: Request, error: Exception) -> Response:
    """A refusal with the status it carries."""
    assert isinstance(error, RequestError)
    return problem(request, error.status, error.detail, error.headers)


async def on_http(request: Request, error: Exception) -> Response:
    """What the router says: no such path, or another method."""
    assert isinstance(error, HTTPException)
    detail = error.detail
    if error.status_code == HTTPStatus.NOT_FOUND:
        detail = f"nothing lives at {request.url.path!r}; GET /openapi.json lists every path"
    elif error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        allowed = (error.headers or {}).get("Allow", "")
        detail = f"{request.method} is not possible on {request.url.path!r}; allowed: {allowed}"
    return problem(request, error.status_code, detail, dict(error.headers or {}))


async def on_polyscene(request: Request, error: Exception) -> Response:
    """Our own errors: 409 and 422 for bad input, 404 for unknown names, 507, 503 for what may pass."""
    assert isinstance(error, PolysceneError)
    if isinstance(error, ConflictError | CanaryError):
        return problem(request, 409, str(error))
    if isinstance(error, InputError):
        return problem(request, 422, str(error))
    if isinstance(error, NotFoundError):
        return problem(request, 404, str(error))
    if not isinstance(error, BusyError):
        _log.error("request_failed", error=type(error).__name__, detail=str(error))
    status = 507 if isinstance(error, FullError) else 503
    return problem(request, status, str(error), {"Retry-After": str(RETRY_AFTER_S)})


async def on_fault(request: Request, error: Exception) -> Response:
    """A mistake of ours: 500 without its inside; the log has the traceback under the request's id."""
    _log.error("request_fault", exc_info=error)
    detail = "the service made a mistake; its log has the details under this request's id"
    return problem(request, 500, detail, dict(HEADERS))
