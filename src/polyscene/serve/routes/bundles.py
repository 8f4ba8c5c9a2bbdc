"""`/v1/bundles`: the saved scenarios, which of them serve, and how that changes."""

from starlette.requests import Request
from starlette.responses import Response

from polyscene.jobs.glance import BundleDetail, Change
from polyscene.serve.bodies import json_reply, read_body
from polyscene.serve.house import house
from polyscene.serve.operations import Operation
from polyscene.serve.wire.bundles import Bundles, PromoteBody, Promotions, RollBackBody


async def list_bundles(request: Request) -> Response:
    """Every bundle of the workspace."""
    here = house(request)
    return json_reply(Bundles(bundles=await here.watch.run(here.engine.bundles.listing)))


async def get_bundle(request: Request) -> Response:
    """One bundle with its manifest."""
    here, names = house(request), request.path_params
    return json_reply(await here.watch.run(here.engine.bundles.detail, names["scenario"], names["id"]))


async def list_promotions(request: Request) -> Response:
    """How a scenario came to its bundle."""
    here, names = house(request), request.path_params
    return json_reply(
        Promotions(promotions=await here.watch.run(here.engine.bundles.history, names["scenario"]))
    )


async def promote_bundle(request: Request) -> Response:
    """Examines a bundle and lets it serve; the next request is answered from it."""
    body, here = await read_body(request, PromoteBody), house(request)
    change = await here.writers.run(
        here.engine.bundles.promote,
        request.path_params["scenario"],
        body.bundle,
        force=body.force,
        instead_of=body.instead_of,
    )
    return json_reply(change)


async def roll_back_bundle(request: Request) -> Response:
    """Lets the bundle before serve again."""
    body, here = await read_body(request, RollBackBody), house(request)
    change = await here.writers.run(
        here.engine.bundles.roll_back, request.path_params["scenario"], instead_of=body.instead_of
    )
    return json_reply(change)


NEW, OLD = "20261122T035700123-1f3a9c0d", "20261121T035700042-9b1c22aa"
CHANGE = {"scenario": "home", "bundle": NEW, "instead_of": OLD, "forced": ""}
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
                    "bundle": NEW,
                    "current": True,
                    "created": 1795305600000,
                    "metrics": {"ndcg@10": 0.17},
                }
            ]
        },
        problems=(503,),
    ),
    Operation(
        "GET",
        "/v1/bundles/{scenario}/history",
        list_promotions,
        "Which bundle took the place of which, newest first",
        reply=Promotions,
        reply_example={
            "promotions": [
                {"at": 1795305600000, "action": "promote", "bundle": NEW, "instead_of": OLD, "forced": ""}
            ]
        },
        problems=(404, 422, 503),
    ),
    Operation(
        "POST",
        "/v1/bundles/{scenario}/promote",
        promote_bundle,
        "Let a bundle serve, once it answered real users as well as the current one does",
        role="admin",
        body=PromoteBody,
        reply=Change,
        body_example={"bundle": NEW, "instead_of": OLD},
        reply_example=CHANGE,
        problems=(400, 404, 408, 409, 413, 415, 422, 503),
    ),
    Operation(
        "POST",
        "/v1/bundles/{scenario}/roll_back",
        roll_back_bundle,
        "Let the bundle before serve again",
        role="admin",
        body=RollBackBody,
        reply=Change,
        body_example={"instead_of": NEW},
        reply_example={**CHANGE, "bundle": OLD, "instead_of": NEW},
        problems=(400, 404, 408, 409, 413, 415, 422, 503),
    ),
    Operation(
        "GET",
        "/v1/bundles/{scenario}/{id}",
        get_bundle,
        "One bundle: its metrics, its parent, its size, its scenario",
        reply=BundleDetail,
        reply_example={
            "scenario": "home",
            "bundle": NEW,
            "current": True,
            "size": 8_400_000,
            "created": 1795305600000,
            "parent": OLD,
            "metrics": {"ndcg@10": 0.17},
            "notes": [],
            "log_position": 1000210,
            "data": "9b1c22aa",
            "code": "0.2.0",
            "config": {"scenario": "home", "stages": [{"kind": "popular"}]},
        },
        problems=(404, 422, 503),
    ),
)
