"""`/v1/edges`: what stands in which relation to what."""

from starlette.requests import Request
from starlette.responses import Response

from polyscene.core.errors import NotFoundError
from polyscene.events.event import EdgePut
from polyscene.events.log import Once, Receipt
from polyscene.jobs.engine import Engine
from polyscene.serve.bodies import json_reply, once_of, read_once, read_params
from polyscene.serve.bulk import Taking, take_lines
from polyscene.serve.cursors import cursor_of, place_of
from polyscene.serve.house import house
from polyscene.serve.operations import NDJSON, Operation
from polyscene.serve.wire.edges import Edge, EdgeBody, EdgeKey, EdgeLine, EdgePatch, Edges, EdgesParams
from polyscene.serve.wire.kept import Kept, KeptLines, kept


async def list_edges(request: Request) -> Response:
    """Edges of a source, of a target, of a relation, or all."""
    params = read_params(request, EdgesParams)
    after = None if params.cursor is None else place_of(params.cursor, tuple[str, str, str])
    here = house(request)
    return json_reply(await here.readers.run(_page, here.engine, params, after))


async def put_edge(request: Request) -> Response:
    """Keeps an edge, in place of what it weighed before."""
    key, here = read_params(request, EdgeKey), house(request)
    body, once = await read_once(request, EdgeBody)
    put = _put(key, here.clock.now() if body.time is None else body.time, weight=body.weight)
    return json_reply(kept(await here.writers.run(here.engine.intake.edges, [put], once)))


async def patch_edge(request: Request) -> Response:
    """Changes the weight of an edge that is there."""
    key, here = read_params(request, EdgeKey), house(request)
    body, once = await read_once(request, EdgePatch)
    put = _put(key, here.clock.now() if body.time is None else body.time, weight=body.weight)
    return json_reply(kept(await here.writers.run(_change, here.engine, put, once)))


async def delete_edge(request: Request) -> Response:
    """Ends an edge."""
    key, here = read_params(request, EdgeKey), house(request)
    put = _put(key, here.clock.now(), delete=True)
    return json_reply(kept(await here.writers.run(_change, here.engine, put, once_of(request))))


async def post_edge_lines(request: Request) -> Response:
    """Keeps edges that come line by line."""
    return await take_lines(request, Taking(EdgeLine, _put_of, house(request).engine.intake.edges))


def _put(key: EdgeKey, time: int, *, weight: float = 1.0, delete: bool = False) -> EdgePut:
    return EdgePut(
        source=key.source, relation=key.relation, target=key.target, time=time, weight=weight, delete=delete
    )


def _put_of(line: EdgeLine, now: int, once: Once | None, place: int) -> EdgePut:
    return EdgePut(
        source=line.source,
        relation=line.relation,
        target=line.target,
        time=now if line.time is None else line.time,
        weight=line.weight,
        delete=line.op == "delete",
    )


def _change(engine: Engine, put: EdgePut, once: Once | None) -> Receipt:
    """Keeps a put to an edge that is there; under a key that did it before, it need not be any more."""
    if once is None and not engine.lookup.edges(put.source, put.relation, put.target, n=1):
        raise NotFoundError(
            f"edges: no edge leads from {put.source!r} by {put.relation!r} to {put.target!r}; "
            "put it with PUT /v1/edges, or list those there are with GET /v1/edges"
        )
    return engine.intake.edges([put], once)


def _page(engine: Engine, params: EdgesParams, after: tuple[str, str, str] | None) -> Edges:
    found = engine.lookup.edges(params.source, params.relation, params.target, after=after, n=params.n + 1)
    edges = [
        Edge(source=put.source, relation=put.relation, target=put.target, weight=put.weight, time=put.time)
        for put in found[: params.n]
    ]
    last = edges[-1] if len(found) > params.n else None
    return Edges(edges=edges, cursor=cursor_of((last.source, last.relation, last.target)) if last else None)


_EDGE = {"source": "42", "relation": "friend", "target": "1689", "weight": 1.0}
_KEPT = {"accepted": 1, "duplicates": 0, "position": 1004094}
_REFUSALS = (400, 408, 409, 413, 415, 422, 503)
OPERATIONS = (
    Operation(
        "GET",
        "/v1/edges",
        list_edges,
        "List edges by source, relation or target",
        params=EdgesParams,
        reply=Edges,
        reply_example={"edges": [_EDGE | {"time": 1767225600000}], "cursor": None},
        problems=(422, 503),
    ),
    Operation(
        "POST",
        "/v1/edges/bulk",
        post_edge_lines,
        "Put or delete edges, one a line; good lines are kept, bad ones are named",
        role="write",
        body=EdgeLine,
        reply=KeptLines,
        body_example=_EDGE | {"op": "put"},
        reply_example={"on_disk_to": 1, "refused": 0} | _KEPT,
        problems=_REFUSALS,
        body_media=NDJSON,
        once=True,
    ),
    Operation(
        "PUT",
        "/v1/edges",
        put_edge,
        "Put an edge",
        role="write",
        params=EdgeKey,
        body=EdgeBody,
        reply=Kept,
        body_example={"weight": 1.0},
        reply_example=_KEPT,
        problems=_REFUSALS,
        once=True,
    ),
    Operation(
        "PATCH",
        "/v1/edges",
        patch_edge,
        "Change the weight of an edge",
        role="write",
        params=EdgeKey,
        body=EdgePatch,
        reply=Kept,
        body_example={"weight": 0.5},
        reply_example=_KEPT,
        problems=(400, 404, 408, 409, 413, 415, 422, 503),
        once=True,
    ),
    Operation(
        "DELETE",
        "/v1/edges",
        delete_edge,
        "End an edge",
        role="write",
        params=EdgeKey,
        reply=Kept,
        reply_example=_KEPT,
        problems=(404, 409, 422, 503),
        once=True,
    ),
)
