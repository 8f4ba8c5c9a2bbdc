"""`/v1/items`: what can be shown, and what is known of it."""

from typing import Annotated, Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from polyscene.core.errors import NotFoundError
from polyscene.events.event import ItemPut
from polyscene.events.log import Once, Receipt
from polyscene.jobs.engine import Engine
from polyscene.serve.bodies import json_reply, once_of, path_id, read_once, read_params
from polyscene.serve.bulk import Taking, take_lines
from polyscene.serve.cursors import cursor_of, place_of
from polyscene.serve.house import House, house
from polyscene.serve.operations import NDJSON, Operation
from polyscene.serve.problems import RequestError
from polyscene.serve.wire.items import ItemBody, ItemLine, ItemPatch, Items, ItemsParams
from polyscene.serve.wire.kept import Kept, KeptLines, kept

Code = Annotated[int, msgspec.Meta(ge=0, lt=1 << 31)]


async def find_items(request: Request) -> Response:
    """Items by title words, those named by `id`, or all of them page by page."""
    params = read_params(request, ItemsParams)
    here = house(request)
    if params.id:
        return json_reply(await here.readers.run(_named, here.engine, params.id))
    if params.query is None:
        after = -1 if params.cursor is None else place_of(params.cursor, Code)
        return json_reply(await here.readers.run(_page, here.engine, after, params))
    if params.cursor is not None:
        raise RequestError(
            422, "query: a search has no further pages; leave 'cursor' out, or ask for more by 'n'"
        )
    return json_reply(
        Items(items=await here.readers.run(here.engine.lookup.search, params.query, params.n))
    )


async def get_item(request: Request) -> Response:
    """One item."""
    here = house(request)
    return json_reply(await here.readers.run(here.engine.lookup.item, path_id(request)))


async def put_item(request: Request) -> Response:
    """Keeps an item; 200 means it is on disk and may be shown at once."""
    item, here = path_id(request), house(request)
    body, once = await read_once(request, ItemBody)
    put = ItemPut(id=item, time=_time(here, body.time), kind=body.kind, attributes=body.attributes)
    return json_reply(kept(await here.writers.run(here.engine.intake.items, [put], once)))


async def patch_item(request: Request) -> Response:
    """Changes some attributes of an item that is known."""
    item, here = path_id(request), house(request)
    body, once = await read_once(request, ItemPatch)
    put = ItemPut(id=item, time=_time(here, body.time), attributes=body.attributes, patch=True)
    return json_reply(kept(await here.writers.run(_change, here.engine, put, once)))


async def delete_item(request: Request) -> Response:
    """Takes an item out of all slates; what users did with it stays. A put brings it back."""
    item, here = path_id(request), house(request)
    put = ItemPut(id=item, time=here.clock.now(), delete=True)
    return json_reply(kept(await here.writers.run(_change, here.engine, put, once_of(request))))


async def post_item_lines(request: Request) -> Response:
    """Keeps items that come line by line."""
    return await take_lines(request, Taking(ItemLine, _put_of, house(request).engine.intake.items))


def _put_of(line: ItemLine, now: int, once: Once | None, place: int) -> ItemPut:
    return ItemPut(
        id=line.id,
        time=now if line.time is None else line.time,
        kind=line.kind,
        attributes=line.attributes,
        patch=line.op == "patch",
        delete=line.op == "delete",
    )


def _time(here: House, given: int | None) -> int:
    return here.clock.now() if given is None else given


def _change(engine: Engine, put: ItemPut, once: Once | None) -> Receipt:
    """Keeps a put to an item that is there; NotFoundError otherwise."""
    engine.lookup.item(put.id)
    return engine.intake.items([put], once)


def _page(engine: Engine, after: int, params: ItemsParams) -> Items:
    found, last = engine.lookup.items(after, params.n, deleted=params.deleted)
    return Items(items=found, cursor=None if last is None else cursor_of(last))


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
    "put_at": 1767225600000,
    "active": True,
}
_KEPT = {"accepted": 1, "duplicates": 0, "position": 1004093}
_REFUSALS = (400, 408, 409, 413, 415, 422, 503)
OPERATIONS = (
    Operation(
        "GET",
        "/v1/items",
        find_items,
        "Find items by words of the title, look up several by id, or list all of them",
        params=ItemsParams,
        reply=Items,
        reply_example={"items": [_ITEM], "missing": [], "cursor": "zQP0"},
        problems=(422, 503),
    ),
    Operation(
        "POST",
        "/v1/items/bulk",
        post_item_lines,
        "Put, patch or delete items, one a line; good lines are kept, bad ones are named",
        role="write",
        body=ItemLine,
        reply=KeptLines,
        body_example={"id": "m-1927", "op": "put", "attributes": {"title": "Metropolis", "year": 1927}},
        reply_example={"on_disk_to": 1, "refused": 0} | _KEPT,
        problems=_REFUSALS,
        body_media=NDJSON,
        once=True,
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
        "Put an item, in place of all that was known of it; it may be shown at once",
        role="write",
        body=ItemBody,
        reply=Kept,
        body_example={
            "kind": "item",
            "attributes": {"title": "Metropolis", "year": 1927, "genre": ["Sci-Fi"]},
        },
        reply_example=_KEPT,
        problems=_REFUSALS,
        once=True,
    ),
    Operation(
        "PATCH",
        "/v1/items/{id:path}",
        patch_item,
        "Change some attributes of an item; null takes one away",
        role="write",
        body=ItemPatch,
        reply=Kept,
        body_example={"attributes": {"year": 1926, "genre": None}},
        reply_example=_KEPT,
        problems=(400, 404, 408, 409, 413, 415, 422, 503),
        once=True,
    ),
    Operation(
        "DELETE",
        "/v1/items/{id:path}",
        delete_item,
        "Show an item no more, until it is put again",
        role="write",
        reply=Kept,
        reply_example=_KEPT,
        problems=(404, 409, 422, 503),
        once=True,
    ),
)
