"""The application: an engine behind HTTP, with its limits, its error pages and its shutdown."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from threading import Event
from time import monotonic

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware

from polyscene.core.clock import Clock, SystemClock
from polyscene.core.errors import PolysceneError
from polyscene.jobs.engine import Engine
from polyscene.observe.rates import Rates
from polyscene.serve.access import Access
from polyscene.serve.desk import Desk
from polyscene.serve.gate import Gate
from polyscene.serve.house import House
from polyscene.serve.keyring import KeyRing
from polyscene.serve.operations import Operation, group_of, routes_of
from polyscene.serve.problems import RequestError, on_fault, on_http, on_polyscene, on_request_error
from polyscene.serve.pulse import Pulse
from polyscene.serve.readiness import Readiness
from polyscene.serve.routes import (
    bundles,
    document,
    edges,
    events,
    health,
    insight,
    items,
    jobs,
    metrics,
    page,
    pages,
    recommend,
    requests,
    scenarios,
    session,
    users,
)
from polyscene.serve.settings import Settings

OPERATIONS: tuple[Operation, ...] = (
    *insight.OPERATIONS,
    *events.OPERATIONS,
    *items.OPERATIONS,
    *recommend.OPERATIONS,
    *pages.OPERATIONS,
    *requests.OPERATIONS,
    *users.OPERATIONS,
    *edges.OPERATIONS,
    *scenarios.OPERATIONS,
    *bundles.OPERATIONS,
    *jobs.OPERATIONS,
    *session.OPERATIONS,
    *health.OPERATIONS,
    *metrics.OPERATIONS,
)
"""The whole API; routes, OpenAPI document and their tests are made from it."""


def create_app(
    engine: Engine, settings: Settings | None = None, clock: Clock | None = None, keys: Path | None = None
) -> Starlette:
    """An ASGI app over `engine`, which it closes at its shutdown, after the last reply.

    `keys` is the file of those who may call it; without that file everybody who reaches the app may.
    """
    settings, clock, draining = settings or Settings(), clock or SystemClock(), Event()
    pulse = Pulse()
    access = Access(KeyRing(keys), settings, clock)
    here = House(
        engine=engine,
        clock=clock,
        settings=settings,
        readers=Desk("readers", settings.readers, settings.waiting, lambda: pulse.lag_s),
        writers=Desk("writers", settings.writers, settings.writing),
        watch=Desk("watch", 1, settings.writing),
        rates=Rates(clock),
        access=access,
        readiness=Readiness(engine.status, draining),
        draining=draining,
        started=monotonic(),
    )

    def count(method: str, path: str, status: int, seconds: float) -> None:
        metrics.count(method, path, status, seconds)
        here.rates.count(group_of(path), status, seconds)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        engine.board.begin()
        pulse.start()
        yield
        pulse.stop()
        here.readers.close()
        here.writers.close()
        here.watch.close()
        here.readiness.close()
        engine.close()

    operations = (*OPERATIONS, document.operation(OPERATIONS))
    app = Starlette(
        routes=[*routes_of(operations), *page.page_routes()],
        middleware=[Middleware(Gate, settings=settings, access=access, operations=operations, count=count)],
        exception_handlers={
            RequestError: on_request_error,
            HTTPException: on_http,
            PolysceneError: on_polyscene,
            Exception: on_fault,
        },
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False  # one address a resource
    app.state.house = here
    return app
