"""The door of the service: who may come in, what every reply carries, what is logged and counted."""

import re
import time
from collections.abc import Callable, Iterable
from typing import Any
from uuid import uuid4

import structlog
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from polyscene.jobs.keys import HEAD
from polyscene.serve.access import CALLER, NOBODY, Access, Caller
from polyscene.serve.operations import PATTERN, Operation
from polyscene.serve.problems import RequestError, problem
from polyscene.serve.settings import HEADERS, Settings

REQUEST = "polyscene.request"
_SAFE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_HOST = re.compile(r"(\[[0-9a-fA-F:]+\]|[^:/\[\]]+)(?::\d+)?")
_PAGES = ("/page/", "/console/")
_FIXED = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]
_log = structlog.get_logger(__name__)

Count = Callable[[str, str, int, float], None]
"""Told of every reply: method, path pattern, status, seconds."""


class Gate:
    """Refuses foreign hosts, origins and callers; gives every reply its headers, log line and count.

    A page elsewhere sends its own Origin, and a page whose name was pointed here sends that name as Host.
    Everything but pages and operations that say ``open`` needs a key, also what does not exist.
    """

    def __init__(
        self,
        app: ASGIApp,
        settings: Settings,
        access: Access,
        operations: Iterable[Operation],
        count: Count,
    ) -> None:
        self.app = app
        self.settings = settings
        self.access = access
        self.count = count
        self._open = {(each.method, each.path) for each in operations if each.role == "open"}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        given = headers.get("x-request-id", "")
        safe = _SAFE_ID.fullmatch(given) and HEAD not in given
        scope[REQUEST] = given if safe else uuid4().hex
        status, start = 500, time.perf_counter()

        async def dressed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = self._dressed(message["headers"], scope)
            await send(message)

        with structlog.contextvars.bound_contextvars(http_request=scope[REQUEST]):
            try:
                self._check_origin(headers)
                scope[CALLER] = self._caller(scope, headers)
            except RequestError as refusal:
                reply = problem(Request(scope), refusal.status, refusal.detail, refusal.headers)
                await reply(scope, receive, dressed)
            else:
                await self.app(scope, receive, dressed)
            finally:
                self._note(scope, status, time.perf_counter() - start)

    def _caller(self, scope: Scope, headers: Headers) -> Caller:
        query = scope["query_string"].decode("latin-1")
        self.access.check_query(query)
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        path = scope["path"]
        page = method == "GET" and (path in ("/", "/console") or path.startswith(_PAGES))
        if page or (method, path) in self._open:
            return NOBODY
        return self.access.caller(method, headers)

    def _check_origin(self, headers: Headers) -> None:
        hosts, origin = headers.getlist("host"), headers.get("origin")
        if len(hosts) > 1:
            raise RequestError(400, "Host is given more than once")
        host = hosts[0] if hosts else ""
        if not self._ours(host):
            names = ", ".join(self.settings.hosts)
            raise RequestError(
                403,
                f"Host {host!r} is not a name of this service; use one of {names}, "
                "or have the operator add it to hosts under [serve] in polyscene.toml",
            )
        if origin is not None and origin.partition("://")[2] != host:
            raise RequestError(
                403, f"Origin {origin!r} is another site; only the service's own page may call it"
            )

    def _ours(self, host: str) -> bool:
        match = _HOST.fullmatch(host)
        return match is not None and match[1].strip("[]").lower() in self.settings.hosts

    def _dressed(self, headers: Iterable[tuple[bytes, bytes]], scope: Scope) -> list[tuple[bytes, bytes]]:
        """With what every reply carries; unless a reply says otherwise, caches don't keep it."""
        found = [*headers, *_FIXED, (b"x-request-id", scope[REQUEST].encode())]
        if not any(name == b"cache-control" for name, _ in found):
            found.append((b"cache-control", b"no-store"))
        if scope["app"].state.house.draining.is_set():
            found.append((b"connection", b"close"))
        return found

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        pattern = scope.get(PATTERN, "other")
        method = scope["method"] if pattern != "other" else "other"
        self.count(method, pattern, status, seconds)
        if status == 503 and pattern != "/readyz":
            return  # an overloaded desk logs itself, once a second; a line for each would add to the load
        facts: dict[str, Any] = {"key": scope[CALLER].name} if scope.get(CALLER, NOBODY).name else {}
        _log.info(
            "request",
            method=scope["method"],
            path=pattern,
            status=status,
            ms=round(seconds * 1e3, 2),
            **facts,
        )
