"""Connections: HTTP/1.1 as uvicorn reads it, with a limit on all that a slow or odd client can hold."""

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import msgspec
from uvicorn._types import ASGI3Application
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from polyscene.serve.problems import Problem
from polyscene.serve.settings import HEADERS, LineLimits

_FIXED = "".join(f"{name}: {value}\r\n" for name, value in HEADERS.items()).encode()


class Line(HttpToolsProtocol):
    """One connection.

    Uvicorn itself waits for ever for a head, for a reader and for the rest of a refused body; here each of
    these has its time. `waiting` is shared by all lines of a server: those without a request, longest
    waiting first. When there are too many lines, that one goes, so that idle clients can't shut others out.
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        limits: LineLimits,
        waiting: "dict[Line, None]",
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._limits = limits
        self._waiting = waiting
        self._read_timer: asyncio.TimerHandle | None = None
        self._write_timer: asyncio.TimerHandle | None = None
        self._running: RequestResponseCycle | None = None
        self._resting = True
        self._head_size = 0
        self._refusal = (HTTPStatus.BAD_REQUEST, "line: these bytes are no request")

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client is there; its first head is due."""
        super().connection_made(transport)
        if len(self.connections) > self._limits.lines:
            oldest = next(iter(self._waiting), None)
            if oldest is None:
                self._refuse(HTTPStatus.SERVICE_UNAVAILABLE, "line: too many connections; try again")
                return
            del self._waiting[oldest]
            oldest.transport.abort()
        self._rest(self._limits.head_s)

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone."""
        self._waiting.pop(self, None)
        _stop(self._read_timer)
        _stop(self._write_timer)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Bytes of a request; once there is one, the rest of its head is due."""
        if self._resting:
            self._resting = False
            self._read_timer = self._after(self._limits.head_s, self._give_up)
        super().data_received(data)

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        super().on_message_begin()
        self._head_size = 0

    def on_url(self, url: bytes) -> None:
        """A piece of the address."""
        super().on_url(url)
        if len(self.url) > self._limits.max_url:
            self._stop_at(HTTPStatus.REQUEST_URI_TOO_LONG, f"more than {self._limits.max_url} bytes")

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header."""
        super().on_header(name, value)
        self._head_size += len(name) + len(value)
        if len(self.headers) > self._limits.max_headers or self._head_size > self._limits.max_head:
            what = f"more than {self._limits.max_headers} headers or {self._limits.max_head} bytes of them"
            self._stop_at(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, what)

    def on_headers_complete(self) -> None:
        """A whole head: the request starts, or stands behind the one before it on this line."""
        if len(self.pipeline) >= self._limits.pipelined:
            self._stop_at(HTTPStatus.TOO_MANY_REQUESTS, "wait for answers before sending more")
        self._waiting.pop(self, None)
        _stop(self._read_timer)
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The end of a body; one that came after its answer makes the line idle only now."""
        super().on_message_complete()
        if self.cycle.response_complete and not self.transport.is_closing():
            self._rest(self._limits.idle_s)

    def on_response_complete(self) -> None:
        """The end of an answer; the rest of a body that nobody read is waited for a little."""
        super().on_response_complete()
        done = self._running
        if self.transport.is_closing() or done is None or not done.response_complete:
            return
        self._unset_keepalive_if_required()
        if done.more_body:
            # Closing at once would make the client's machine throw the answer away unread.
            self._read_timer = self._after(self._limits.linger_s, self.transport.abort)
        else:
            self._rest(self._limits.idle_s)

    def pause_writing(self) -> None:
        """The client does not take what it asked for."""
        super().pause_writing()
        self._write_timer = self.loop.call_later(self._limits.write_s, self.transport.abort)

    def resume_writing(self) -> None:
        """It does again."""
        super().resume_writing()
        _stop(self._write_timer)

    def send_400_response(self, msg: str) -> None:
        """Answers bytes that are no request, so that no client takes it for the answer to another one."""
        running = self._running
        if running is not None and not running.response_complete:
            self.pipeline.clear()
            running.keep_alive = False
            if not running.more_body or running.response_started:
                self.flow.pause_reading()
                return
            running.disconnected = True
            running.message_event.set()
        self._refuse(*self._refusal)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, app)

    def _unsupported_upgrade_warning(self) -> None:
        # What follows an upgrade is not HTTP to the parser, so nothing more is read from this line.
        if self.cycle is not None:
            self.cycle.keep_alive = False

    def _rest(self, seconds: float) -> None:
        """No request is on its way; the line is kept for so long."""
        self._resting = True
        self._waiting.pop(self, None)
        self._waiting[self] = None
        self._read_timer = self._after(seconds, self._hang_up)

    def _hang_up(self) -> None:
        """Closes a resting line; an answer that was not even taken by now is thrown away."""
        if self.transport.get_write_buffer_size():
            self.transport.abort()
        else:
            self.transport.close()

    def _give_up(self) -> None:
        self._refuse(
            HTTPStatus.REQUEST_TIMEOUT, f"line: no complete request head within {self._limits.head_s:g} s"
        )

    def _stop_at(self, status: HTTPStatus, what: str) -> None:
        """Makes the parser give up on these bytes; `send_400_response` tells the client why."""
        self._refusal = (status, f"line: {what}")
        raise ValueError(what)

    def _refuse(self, status: HTTPStatus, detail: str) -> None:
        body = msgspec.json.encode(Problem(title=status.phrase, status=status, detail=detail))
        retry = b"retry-after: 1\r\n" if status == HTTPStatus.SERVICE_UNAVAILABLE else b""
        self.transport.write(
            STATUS_LINE[status]
            + b"content-type: application/problem+json\r\ncache-control: no-store\r\nconnection: close\r\n"
            + b"content-length: %d\r\n" % len(body)
            + retry
            + _FIXED
            + b"\r\n"
            + body
        )
        self.transport.close()

    def _after(self, seconds: float, then: Callable[[], None]) -> asyncio.TimerHandle:
        """The timer of what is awaited from the client next, in place of the one before."""
        _stop(self._read_timer)
        return self.loop.call_later(seconds, then)


def _stop(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()
