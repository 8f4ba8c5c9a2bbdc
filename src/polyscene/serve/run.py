"""Serving a workspace: one process, one loop, until it is told to stop."""

import gc
import socket
import sys
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path

import torch
import uvicorn
from starlette.types import ASGIApp
from threadpoolctl import threadpool_limits

from polyscene.core.errors import InputError
from polyscene.jobs.engine import Engine
from polyscene.jobs.workspace import Workspace
from polyscene.observe.logs import set_up
from polyscene.serve.app import create_app
from polyscene.serve.settings import Settings


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
        host: A loopback address; the workspace's own setting without it.
        port: 0 takes any free one; the workspace's own setting without it.
        announce: Told the URL once requests are accepted; by default it is written to standard error.

    Raises:
        InputError: The host is not a loopback address, or the port is taken.
        NotFoundError: There is no workspace.
    """
    own = Workspace.open(workspace).serve
    listener = _listen(own.host if host is None else host, own.port if port is None else port)
    with listener:
        url = _url(listener)
        settings = Settings(readers=own.workers, waiting=own.backlog)
        app = create_app(Engine.open(workspace), settings)
        set_up("warning" if sys.stderr.isatty() else "info")
        # One request is too small to share out; threads that wait for each other would only burn time.
        torch.set_num_threads(1)
        threadpool_limits(1)
        gc.collect()
        gc.freeze()  # what stays for good need not be looked through again and again
        Server(app, settings, lambda: (announce or _say)(url)).run(sockets=[listener])


class Server(uvicorn.Server):
    """Uvicorn as this service wants it, that tells when it accepts requests."""

    def __init__(self, app: ASGIApp, settings: Settings, ready: Callable[[], None]) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http="httptools",
                loop="uvloop" if sys.platform != "win32" else "asyncio",
                lifespan="on",
                ws="none",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                timeout_keep_alive=75,  # longer than clients do, so no line closes under a request
                timeout_graceful_shutdown=int(settings.drain_s),
            )
        )
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Starts, then tells."""
        await super().startup(sockets)
        self._ready()


def _listen(host: str, port: int) -> socket.socket:
    address = _loopback(host)
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
    except OSError as error:
        listener.close()
        raise InputError(
            f"serve: can't listen on {host} port {port}: {error.strerror}; "
            "stop what uses it, or choose another with --port (0 takes any free one)"
        ) from error
    return listener


def _loopback(host: str) -> str:
    """The address behind a host name that only this machine can reach."""
    try:
        address = ip_address("127.0.0.1" if host == "localhost" else host.strip("[]"))
    except ValueError as error:
        raise InputError(f"serve: host {host!r} is no address; use 127.0.0.1, ::1 or localhost") from error
    if not address.is_loopback:
        raise InputError(
            f"serve: host {host!r} can be reached from other machines, and the service has no keys yet; "
            "use 127.0.0.1, and a proxy that authenticates in front of it"
        )
    return str(address)


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


def _say(url: str) -> None:
    sys.stderr.write(f"Polyscene serves {url} (Ctrl+C stops it)\n")
    sys.stderr.flush()
