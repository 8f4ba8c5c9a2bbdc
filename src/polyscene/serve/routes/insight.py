"""What the console shows: how the service is, what a scenario does, what was asked lately."""

import time
from collections import Counter

from starlette.requests import Request
from starlette.responses import Response

from polyscene import __version__
from polyscene.jobs.engine import Engine
from polyscene.jobs.recipe import Recipe
from polyscene.observe.rates import Kind, Rates, figures
from polyscene.observe.timing import resident_bytes
from polyscene.scenario.ask import Ask, HistoryEvent
from polyscene.scenario.trace import rows
from polyscene.serve.bodies import json_reply, path_id, read_body, read_params
from polyscene.serve.cursors import cursor_of, place_of
from polyscene.serve.house import House, house
from polyscene.serve.operations import Operation
from polyscene.serve.routes.recommend import ANSWER
from polyscene.serve.wire.insight import (
    Activity,
    Overview,
    OverviewParams,
    QualityReport,
    Queue,
    RequestPlace,
    Requests,
    RequestsParams,
    Traffic,
    Tried,
    TryBody,
)


async def overview(request: Request) -> Response:
    """How the service is: traffic of the last ten minutes, queues, log, bundles, machine."""
    params = read_params(request, OverviewParams)
    here = house(request)
    return json_reply(await here.watch.run(_overview, here, params.step))


async def list_requests(request: Request) -> Response:
    """Logged requests in short."""
    params = read_params(request, RequestsParams)
    here = house(request)
    place = None if params.cursor is None else place_of(params.cursor, RequestPlace)
    after = None if place is None else (place.time, place.request_id)
    found = await here.watch.run(here.engine.insight.requests, params.user, params.n + 1, after)
    shown = found[: params.n]
    more = cursor_of(RequestPlace(shown[-1].time, shown[-1].request_id)) if len(found) > params.n else None
    return json_reply(Requests(requests=shown, cursor=more))


async def get_scenario(request: Request) -> Response:
    """A scenario's stages, what they cost lately, and its file."""
    name, here = path_id(request), house(request)
    return json_reply(await here.watch.run(here.engine.insight.recipe, name))


async def try_scenario(request: Request) -> Response:
    """What a scenario would answer now; not logged, because nobody was shown it."""
    name, body, here = path_id(request), await read_body(request, TryBody), house(request)
    return json_reply(await here.readers.run(_try, here.engine, name, body))


async def item_activity(request: Request) -> Response:
    """How often an item was shown and acted on, by day."""
    item, here = path_id(request), house(request)
    return json_reply(Activity(item=item, days=await here.watch.run(here.engine.insight.item_days, item)))


async def get_quality(request: Request) -> Response:
    """What is odd about the data, as of the last time somebody had it looked at."""
    here = house(request)
    return json_reply(QualityReport(report=await here.watch.run(here.engine.insight.quality)))


def _overview(here: House, step_s: int) -> Overview:
    status = here.engine.status()
    return Overview(
        version=__version__,
        now=here.clock.now(),
        uptime_s=round(time.monotonic() - here.started, 1),
        memory=resident_bytes(),
        traffic=_traffic(here.rates, step_s),
        queues=[
            Queue(name=desk.name, inside=desk.inside, limit=desk.limit)
            for desk in (here.readers, here.writers)
        ],
        state=here.engine.insight.state(),
        problems=status["problems"],
    )


def _traffic(rates: Rates, step_s: int) -> Traffic:
    steps = rates.steps(step_s)
    counts: list[Counter[Kind]] = [each for _, each in steps]
    points = [figures([each]) for each in counts]
    groups = sorted({kind.group for each in counts for kind in each})
    return Traffic(
        step_s=step_s,
        starts=[start * 1000 for start, _ in steps],
        requests={group: [_count(each, group) for each in counts] for group in groups},
        refused=[point.refused for point in points],
        failed=[point.failed for point in points],
        p50_ms=[point.p50_ms for point in points],
        p95_ms=[point.p95_ms for point in points],
        p99_ms=[point.p99_ms for point in points],
        groups={group: figures(counts, group) for group in groups},
    )


def _count(counts: Counter[Kind], group: str) -> int:
    return sum(n for kind, n in counts.items() if kind.group == group)


def _try(engine: Engine, name: str, body: TryBody) -> Tried:
    history = None
    if body.history is not None:
        history = [
            HistoryEvent(item=each.item, action=each.action, value=each.value, time=each.time)
            for each in body.history
        ]
    ask = Ask(
        scenario=name,
        user=body.user,
        history=history,
        k=body.k,
        context=body.context,
        filter=body.filter,
        exclude=body.exclude,
    )
    found = engine.rehearse(ask)
    return Tried(
        answer=found.answer,
        chain=[{**each, "candidates": rows(each)} for each in found.trace["chain"]],
    )


_FIGURES = {"requests": 1840, "refused": 2, "failed": 0, "p50_ms": 4.1, "p95_ms": 9.6, "p99_ms": 14.0}
_FINDING = {
    "severity": "warn",
    "topic": "gaps",
    "title": "Days without any event",
    "seen": "1 gap of more than 3 days",
    "why": "what happened then is missing from histories",
    "mend": "load the missing days",
}
_STAGE = {
    "name": "covisit",
    "kind": "covisit",
    "role": "source",
    "take": 100,
    "optional": False,
    "ms": 0.41,
    "settings": {},
    "of": [],
}
OPERATIONS = (
    Operation(
        "GET",
        "/v1/overview",
        overview,
        "How the service is: traffic, queues, log, bundles, machine",
        params=OverviewParams,
        reply=Overview,
        reply_example={
            "version": __version__,
            "now": 1795305600000,
            "uptime_s": 86400.0,
            "memory": 412_000_000,
            "traffic": {
                "step_s": 5,
                "starts": [1795305590000],
                "requests": {"recommend": [17]},
                "refused": [0],
                "failed": [0],
                "p50_ms": [4.1],
                "p95_ms": [9.6],
                "p99_ms": [14.0],
                "groups": {"recommend": _FIGURES},
            },
            "queues": [{"name": "readers", "inside": 1, "limit": 64}],
            "state": {
                "position": 1000210,
                "absorbed": 1000210,
                "newest_event": 1795305599000,
                "users": 6040,
                "items": 3883,
                "log_bytes": 181_000_000,
                "disk_free": 40_000_000_000,
                "disk_total": 80_000_000_000,
                "in_service": [
                    {
                        "scenario": "home",
                        "bundle": ANSWER["bundle"],
                        "created": 1795305000000,
                        "behind": 210,
                        "metrics": {"ndcg@10": 0.17},
                    }
                ],
                "untrained": [],
            },
            "problems": [],
        },
        problems=(422, 503),
    ),
    Operation(
        "GET",
        "/v1/quality",
        get_quality,
        "The newest report on the quality of the data; the job `quality` makes one",
        reply=QualityReport,
        reply_example={
            "report": {
                "source": "shop",
                "made": 1795305600000,
                "facts": [["events", "1,000,209"]],
                "findings": [_FINDING],
                "plots": [],
                "columns": [],
                "languages": {"en": 0.98},
                "notes": [],
            }
        },
        problems=(503,),
    ),
    Operation(
        "GET",
        "/v1/requests",
        list_requests,
        "Logged requests, newest first",
        params=RequestsParams,
        reply=Requests,
        reply_example={
            "requests": [
                {
                    "request_id": ANSWER["request_id"],
                    "scenario": "home",
                    "bundle": ANSWER["bundle"],
                    "user": "42",
                    "time": 1795305599000,
                    "count": 10,
                    "items": ["1", "588"],
                    "skipped": [],
                    "notes": [],
                }
            ],
            "cursor": None,
        },
        problems=(422, 503),
    ),
    Operation(
        "GET",
        "/v1/items/{id:path}/activity",
        item_activity,
        "How often an item was shown and acted on, by day",
        reply=Activity,
        reply_example={"item": "1", "days": [{"day": 1795305600000, "action": "exposure", "count": 812}]},
        problems=(422, 503),
    ),
    Operation(
        "POST",
        "/v1/scenarios/{id:path}/try",
        try_scenario,
        "What a scenario would answer now, with its trace; nothing is logged",
        body=TryBody,
        reply=Tried,
        body_example={"user": "42", "k": 10},
        reply_example={
            "answer": ANSWER,
            "chain": [
                {
                    "scenario": "home",
                    "stages": [{"name": "covisit", "before": 0, "after": 1, "ms": 0.2, "skipped": ""}],
                    "candidates": [{"item": "1", "place": 0, "dropped": "", "rank:covisit": 0.0}],
                }
            ],
        },
        problems=(400, 404, 408, 413, 415, 422, 503),
    ),
    Operation(
        "GET",
        "/v1/scenarios/{id:path}",
        get_scenario,
        "What a scenario does: its stages, what they cost lately, its file",
        reply=Recipe,
        reply_example={
            "name": "home",
            "bundle": ANSWER["bundle"],
            "slate": 20,
            "budget_ms": 100.0,
            "kind": None,
            "where": None,
            "seen": "drop",
            "history": 200,
            "anchors": "ignore",
            "positive": {},
            "negative": {},
            "fallback": "popular",
            "stages": [_STAGE],
            "file": "home.toml",
            "text": 'scenario = "home"',
            "file_problem": "",
            "changed": False,
        },
        problems=(404, 422, 503),
    ),
)
