"""The door of the service: who may come in, what every reply carries, what is logged and counted."""

import re
import time
from collections.abc import Callable, Iterable
from uuid import uuid4

import structlog
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from polyscene.serve.operations import PATTERN
from polyscene.serve.problems import problem
from polyscene.serve.settings import HEADERS, Settings

REQUEST = "polyscene.request"
_SAFE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_HOST = re.compile(r"(\[[0-9a-fA-F:]+\]|[^:/\[\]]+)(?::\d+)?")
_FIXED = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]
_log = structlog.get_logger(__name__)

Count = Callable[[str, str, int, float], None]
"""Told of every reply: method, path pattern, status, seconds."""


class Gate:
    """Refuses foreign hosts and origins; gives every reply its headers, log line and count.

    The service has no keys, so the one thing between it and any web page its user visits is this check:
    a page elsewhere sends its own Origin, and a page whose name was pointed here sends that name as Host.
    """

    def __init__(self, app: ASGIApp, settings: Settings, count: Count) -> None:
        self.app = app
        self.settings = settings
        self.count = count

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        given = headers.get("x-request-id", "")
        scope[REQUEST] = given if _SAFE_ID.fullmatch(given) else uuid4().hex
        status, start = 500, time.perf_counter()

        async def dressed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = _dressed(message["headers"], scope[REQUEST])
            await send(message)

        with structlog.contextvars.bound_contextvars(http_request=scope[REQUEST]):
            try:
                refusal = self._refuse(headers)
                if refusal:
                    await problem(Request(scope), 403, refusal)(scope, receive, dressed)
                else:
                    await self.app(scope, receive, dressed)
            finally:
                self._note(scope, status, time.perf_counter() - start)

    def _refuse(self, headers: Headers) -> str:
        """Why the request may not come in; empty when it may."""
        host, origin = headers.get("host", ""), headers.get("origin")
        if not self._ours(host):
            return (
                f"Host {host!r} is not a name of this service; use one of {', '.join(self.settings.hosts)}"
            )
        if origin is not None and origin.partition("://")[2] != host:
            return f"Origin {origin!r} is another site; only the service's own page may call it"
        return ""

    def _ours(self, host: str) -> bool:
        match = _HOST.fullmatch(host)
        return match is not None and match[1].strip("[]").lower() in self.settings.hosts

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        pattern = scope.get(PATTERN, "other")
        method = scope["method"] if pattern != "other" else "other"
        self.count(method, pattern, status, seconds)
        _log.info(
            "request", method=scope["method"], path=pattern, status=status, ms=round(seconds * 1e3, 2)
        )


def _dressed(headers: Iterable[tuple[bytes, bytes]], request_id: str) -> list[tuple[bytes, bytes]]:
    """With what every reply carries; unless a reply says otherwise, caches don't keep it."""
    found = [*headers, *_FIXED, (b"x-request-id", request_id.encode())]
    if not any(name == b"cache-control" for name, _ in found):
        found.append((b"cache-control", b"no-store"))
    return found
