"""Serving a workspace: one process, one loop, until it is told to stop."""

import asyncio
import gc
import signal
import socket
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from types import FrameType

import torch
import uvicorn
from starlette.applications import Starlette
from threadpoolctl import threadpool_limits

from polyscene.core.clock import SystemClock
from polyscene.core.errors import InputError
from polyscene.jobs import keys
from polyscene.jobs.engine import Engine
from polyscene.jobs.workspace import ServeSettings, Workspace
from polyscene.observe.logs import set_up
from polyscene.serve.app import create_app
from polyscene.serve.house import House
from polyscene.serve.lines import Line
from polyscene.serve.settings import LOOPBACK, LineLimits, Settings

OTHER_FILES = 256
"""Files that a service opens besides lines: its log, bundles, readers of both, programs for jobs."""

SWITCH_S = 0.0005


def serve(
    workspace: Path,
    *,
    host: str | None = None,
    port: int | None = None,
    announce: Callable[[str], None] | None = None,
) -> None:
    """Answers requests until SIGINT or SIGTERM, then drains and closes the log.

    Args:
        workspace: The folder to serve.
        host: An IP address or localhost; the workspace's own setting without it.
        port: 0 takes any free one; the workspace's own setting without it.
        announce: Told the URL once requests are accepted; by default it is written to standard error.

    Raises:
        InputError: The host is no address, others can reach it and there are no keys, or the port is taken.
        NotFoundError: There is no workspace.
    """
    own = Workspace.open(workspace).serve
    host = own.host if host is None else host
    address = _address(host)
    if not address.is_loopback:
        _check_keys(workspace, host)
    listener = _listen(address, own.port if port is None else port)
    with listener:
        url = _url(listener)
        settings = _settings(own, str(address))
        set_up("warning" if sys.stderr.isatty() else "info")
        app = create_app(Engine.open(workspace), settings, keys=workspace / keys.FILE)
        # One request is too small to share out; threads that wait for each other would only burn time.
        torch.set_num_threads(1)
        threadpool_limits(1)
        # A scoring thread hands Python's lock to the loop ten times sooner than it would by itself, so
        # that a busy service still notices what comes in.
        sys.setswitchinterval(SWITCH_S)
        gc.collect()
        gc.freeze()  # what stays for good need not be looked through again and again
        Server(app, settings, lambda: (announce or _say)(url)).run(sockets=[listener])


class Server(uvicorn.Server):
    """Uvicorn as this service wants it, that tells when it accepts requests and ends without losing any.

    Told to end by SIGTERM it says at /readyz that it is not ready, still answers for `drain_s` so that who
    sends it requests can notice, then lets go of the lines and ends with exit code 0.
    """

    def __init__(self, app: Starlette, settings: Settings, ready: Callable[[], None]) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=partial(Line, limits=settings.line, waiting={}),  # type: ignore[arg-type]
                loop="uvloop" if sys.platform != "win32" else "asyncio",
                lifespan="on",
                ws="none",
                log_config=None,
                log_level="error",
                access_log=False,
                proxy_headers=False,
                server_header=False,
                timeout_graceful_shutdown=int(settings.finish_s),
            )
        )
        self._settings = settings
        self._house: House = app.state.house
        self._ready = ready
        self._patient = False

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Starts, then tells."""
        await super().startup(sockets)
        self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Drains, then lets go of the lines."""
        self._house.draining.set()
        waited = 0.0
        while self._patient and waited < self._settings.drain_s:
            await asyncio.sleep(0.05)
            waited += 0.05
        await super().shutdown(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A first SIGTERM starts the drain and counts as a good end; a signal after that shortens it."""
        if sig != signal.SIGTERM:
            self._patient = False
            super().handle_exit(sig, frame)
            return
        self._patient = not self.should_exit
        self.should_exit = True
        self._house.draining.set()


def _line_limits() -> LineLimits:
    """As many lines as the system allows files, up to the usual number: without a file nobody gets in."""
    limits = LineLimits()
    if sys.platform == "win32":
        return limits
    import resource

    soft, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = limits.lines + OTHER_FILES
    if most != resource.RLIM_INFINITY:
        wanted = min(wanted, most)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))
    return replace(limits, lines=max(1, wanted - OTHER_FILES))


def _settings(own: ServeSettings, address: str) -> Settings:
    return Settings(
        hosts=tuple(dict.fromkeys([*LOOPBACK, address, *(name.lower() for name in own.hosts)])),
        line=_line_limits(),
        readers=own.workers,
        waiting=own.backlog,
        rate=own.rate,
        anonymous_rate=own.anonymous_rate,
        drain_s=own.drain_s,
    )


def _address(host: str) -> IPv4Address | IPv6Address:
    try:
        return ip_address("127.0.0.1" if host == "localhost" else host.strip("[]"))
    except ValueError as error:
        raise InputError(
            f"serve: host {host!r} is no address; use 127.0.0.1, ::1 or localhost, or an address "
            "of this machine such as 0.0.0.0 for all of them"
        ) from error


def _check_keys(workspace: Path, host: str) -> None:
    now = SystemClock().now()
    if not any(each.expires is None or each.expires > now for each in keys.listing(workspace)):
        raise InputError(
            f"serve: host {host!r} can be reached from other machines, and {workspace} has no key that "
            f"opens it; make one with `polyscene keys add NAME --role admin --workspace {workspace}`, "
            "or use 127.0.0.1"
        )


def _listen(address: IPv4Address | IPv6Address, port: int) -> socket.socket:
    listener = socket.socket(
        socket.AF_INET6 if address.version == 6 else socket.AF_INET, socket.SOCK_STREAM
    )
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((str(address), port))
    except OSError as error:
        listener.close()
        raise InputError(
            f"serve: can't listen on {address} port {port}: {error.strerror}; "
            "stop what uses it, or choose another with --port (0 takes any free one)"
        ) from error
    return listener


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


def _say(url: str) -> None:
    sys.stderr.write(f"Polyscene serves {url} (Ctrl+C stops it)\n")
    sys.stderr.flush()
