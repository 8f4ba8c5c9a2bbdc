import asyncio
import shutil

import httpx
import pytest
from starlette.routing import Route

from polyscene.core.errors import BundleError, BusyError, StoreError
from polyscene.jobs.engine import Engine
from polyscene.serve.app import create_app


@pytest.fixture(scope="module")
def app(root):
    with Engine.open(root) as engine:
        yield create_app(engine)


def get(app, error):
    """The reply of the application when a handler raises `error`."""

    async def fail(request):
        raise error

    async def ask():
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as client:
            return await client.get("/fail")

    app.router.routes[:0] = [Route("/fail", fail)]
    try:
        return asyncio.run(ask())
    finally:
        del app.router.routes[0]


def test_a_mistake_of_ours_is_a_500_that_shows_nothing_of_its_inside(app):
    reply = get(app, ZeroDivisionError("secret /home/path"))
    assert reply.status_code == 500
    assert reply.headers["content-type"] == "application/problem+json"
    assert "secret" not in reply.text
    assert len(reply.json()["request"]) == 32
    assert "default-src 'none'" in reply.headers["content-security-policy"]


@pytest.mark.parametrize("kind", [BusyError, StoreError, BundleError])
def test_what_may_pass_is_a_503_that_says_when_to_come_back(app, kind):
    reply = get(app, kind("too much at once"))
    assert reply.status_code == 503
    assert int(reply.headers["retry-after"]) >= 1
    assert reply.json()["detail"] == "too much at once"


def test_the_engine_is_closed_with_the_application(fitted, tmp_path):
    engine = Engine.open(shutil.copytree(fitted, tmp_path / "workspace"))
    app = create_app(engine)

    async def live():
        async with app.router.lifespan_context(app):
            pass

    asyncio.run(live())
    with pytest.raises(StoreError):
        engine.intake.items([])
