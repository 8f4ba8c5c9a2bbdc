"""The application: an engine behind HTTP, with its limits, its error pages and its shutdown."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware

from polyscene.core.clock import Clock, SystemClock
from polyscene.core.errors import PolysceneError
from polyscene.jobs.engine import Engine
from polyscene.serve.desk import Desk
from polyscene.serve.gate import Gate
from polyscene.serve.house import House
from polyscene.serve.operations import Operation, routes_of
from polyscene.serve.problems import RequestError, on_fault, on_http, on_polyscene, on_request_error
from polyscene.serve.routes import (
    bundles,
    document,
    events,
    health,
    items,
    metrics,
    page,
    recommend,
    requests,
    scenarios,
    users,
)
from polyscene.serve.settings import Settings

OPERATIONS: tuple[Operation, ...] = (
    *events.OPERATIONS,
    *items.OPERATIONS,
    *recommend.OPERATIONS,
    *requests.OPERATIONS,
    *users.OPERATIONS,
    *scenarios.OPERATIONS,
    *bundles.OPERATIONS,
    *health.OPERATIONS,
    *metrics.OPERATIONS,
)
"""The whole API; routes, OpenAPI document and their tests are made from it."""


def create_app(engine: Engine, settings: Settings | None = None, clock: Clock | None = None) -> Starlette:
    """An ASGI app over `engine`, which it closes at its shutdown, after the last reply."""
    settings = settings or Settings()
    here = House(
        engine=engine,
        clock=clock or SystemClock(),
        settings=settings,
        readers=Desk("readers", settings.readers, settings.waiting),
        writers=Desk("writers", settings.writers, settings.waiting),
    )

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        yield
        here.readers.close()
        here.writers.close()
        engine.close()

    app = Starlette(
        routes=[*routes_of((*OPERATIONS, document.operation(OPERATIONS))), *page.page_routes()],
        middleware=[Middleware(Gate, settings=settings, count=metrics.count)],
        exception_handlers={
            RequestError: on_request_error,
            HTTPException: on_http,
            PolysceneError: on_polyscene,
            Exception: on_fault,
        },
        lifespan=lifespan,
    )
    app.state.house = here
    return app
