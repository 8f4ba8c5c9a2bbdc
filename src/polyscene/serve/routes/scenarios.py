"""`/v1/scenarios`: what can be asked for, and the bundle that answers."""

from starlette.requests import Request
from starlette.responses import Response

from polyscene.serve.bodies import json_reply
from polyscene.serve.house import house
from polyscene.serve.operations import Operation
from polyscene.serve.wire.bundles import Scenarios


async def list_scenarios(request: Request) -> Response:
    """Every scenario of the workspace."""
    here = house(request)
    return json_reply(Scenarios(scenarios=await here.readers.run(here.engine.scenarios)))


OPERATIONS = (
    Operation(
        "GET",
        "/v1/scenarios",
        list_scenarios,
        "The scenarios that can be asked for",
        reply=Scenarios,
        reply_example={"scenarios": [{"name": "home", "slate": 20, "bundle": "home-20261122-1f3a"}]},
        problems=(503,),
    ),
)
