"""`/v1/items`: what can be shown, and what is known of it."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from polyscene.core.errors import NotFoundError
from polyscene.events.event import ItemPut
from polyscene.jobs.engine import Engine
from polyscene.serve.bodies import json_reply, path_id, read_body, read_params
from polyscene.serve.house import house
from polyscene.serve.operations import Operation
from polyscene.serve.problems import RequestError
from polyscene.serve.wire.events import Kept
from polyscene.serve.wire.items import ItemBody, Items, ItemsParams


async def find_items(request: Request) -> Response:
    """Items by title words, or those named by `id`."""
    params = read_params(request, ItemsParams)
    here = house(request)
    if params.id:
        return json_reply(await here.readers.run(_named, here.engine, params.id))
    if params.query is None:
        raise RequestError(422, "query: give words of a title as 'query', or ids as 'id'")
    return json_reply(
        Items(items=await here.readers.run(here.engine.lookup.search, params.query, params.n))
    )


async def get_item(request: Request) -> Response:
    """One item."""
    here = house(request)
    return json_reply(await here.readers.run(here.engine.lookup.item, path_id(request)))


async def put_item(request: Request) -> Response:
    """Keeps an item; 200 means it is on disk and may be shown at once."""
    item = path_id(request)
    body = await read_body(request, ItemBody)
    here = house(request)
    put = ItemPut(
        id=item,
        time=here.clock.now() if body.time is None else body.time,
        kind=body.kind,
        attributes=body.attributes,
        patch=body.patch,
    )
    receipt = await here.writers.run(here.engine.intake.items, [put])
    return json_reply(
        Kept(accepted=receipt.accepted, duplicates=receipt.duplicates, position=receipt.position)
    )


def _named(engine: Engine, ids: list[str]) -> Items:
    found, missing = [], []
    for item in dict.fromkeys(ids):
        try:
            found.append(engine.lookup.item(item))
        except NotFoundError:
            missing.append(item)
    return Items(items=found, missing=missing)


_ITEM = {
    "id": "1",
    "kind": "item",
    "title": "Toy Story",
    "attributes": {"title": "Toy Story", "year": 1995, "genre": ["Animation", "Children's", "Comedy"]},
}
OPERATIONS = (
    Operation(
        "GET",
        "/v1/items",
        find_items,
        "Find items by words of the title, or look up several by id",
        params=ItemsParams,
        reply=Items,
        reply_example={"items": [_ITEM], "missing": []},
        problems=(422, 503),
    ),
    Operation(
        "GET",
        "/v1/items/{id:path}",
        get_item,
        "What is known of an item",
        reply=dict[str, Any],
        reply_example=_ITEM,
        problems=(404, 422, 503),
    ),
    Operation(
        "PUT",
        "/v1/items/{id:path}",
        put_item,
        "Put an item; it may be shown at once",
        role="write",
        body=ItemBody,
        reply=Kept,
        body_example={
            "kind": "item",
            "attributes": {"title": "Metropolis", "year": 1927, "genre": ["Sci-Fi"]},
        },
        reply_example={"accepted": 1, "duplicates": 0, "position": 1004093, "conflicts": []},
        problems=(400, 408, 413, 415, 422, 503),
    ),
)
