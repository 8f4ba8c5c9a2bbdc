"""`/v1/bundles`: the saved scenarios, and which of them serve."""

from starlette.requests import Request
from starlette.responses import Response

from polyscene.serve.bodies import json_reply
from polyscene.serve.house import house
from polyscene.serve.operations import Operation
from polyscene.serve.wire.bundles import Bundles


async def list_bundles(request: Request) -> Response:
    """Every bundle of the workspace."""
    here = house(request)
    return json_reply(Bundles(bundles=await here.readers.run(here.engine.bundles)))


OPERATIONS = (
    Operation(
        "GET",
        "/v1/bundles",
        list_bundles,
        "The saved scenarios, newest first, and which of them serve",
        reply=Bundles,
        reply_example={
            "bundles": [
                {
                    "scenario": "home",
                    "bundle": "home-20261122-1f3a",
                    "current": True,
                    "created": 1795305600000,
                    "metrics": {"ndcg@10": 0.17},
                }
            ]
        },
        problems=(503,),
    ),
)
