"""`/healthz` and `/readyz`: does the process live, and can it answer."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from polyscene.serve.bodies import json_reply
from polyscene.serve.house import house
from polyscene.serve.operations import Operation
from polyscene.serve.wire.health import Health


async def healthz(request: Request) -> Response:
    """The process lives; restart it when this fails."""
    return json_reply(Health(status="alive"))


async def readyz(request: Request) -> Response:
    """Whether requests can be answered now; send no traffic while it is 503."""
    status = await house(request).readiness.status()
    return json_reply(status, 200 if status["ready"] else 503)


OPERATIONS = (
    Operation(
        "GET",
        "/healthz",
        healthz,
        "Does the process live",
        role="open",
        reply=Health,
        reply_example={"status": "alive"},
    ),
    Operation(
        "GET",
        "/readyz",
        readyz,
        "Can requests be answered now",
        role="open",
        reply=dict[str, Any],
        reply_example={"ready": True},
        problems=(503,),
    ),
)
