"""`/v1/recommend`, `/v1/similar` and `/v1/popular`: the slate for one ask."""

from collections.abc import Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from polyscene.jobs.engine import Engine
from polyscene.scenario.ask import Answer, Ask, HistoryEvent
from polyscene.serve.bodies import json_reply, read_body
from polyscene.serve.house import house
from polyscene.serve.operations import Operation
from polyscene.serve.wire.answers import PastBody, PopularBody, RecommendBody, SimilarBody


async def recommend(request: Request) -> Response:
    """Answers an ask from all that is known up to now."""
    body = await read_body(request, RecommendBody)
    here = house(request)
    ask = _ask(body, body.scenario, body.context, past_of(body.history))
    return json_reply(await here.readers.run(here.engine.recommend, ask))


async def similar(request: Request) -> Response:
    """What goes with one item."""
    body = await read_body(request, SimilarBody)
    here = house(request)
    return json_reply(await here.readers.run(_similar, here.engine, body))


async def popular(request: Request) -> Response:
    """What most people like."""
    body = await read_body(request, PopularBody)
    here = house(request)
    ask = _ask(body, body.scenario, body.context)
    return json_reply(await here.readers.run(here.engine.recommend, ask))


def past_of(history: Sequence[PastBody] | None) -> list[HistoryEvent] | None:
    """A history that was sent, as the engine reads it."""
    if history is None:
        return None
    return [
        HistoryEvent(item=each.item, action=each.action, value=each.value, time=each.time)
        for each in history
    ]


def _similar(engine: Engine, body: SimilarBody) -> Answer:
    scenario = body.scenario or engine.answers.anchored()
    return engine.recommend(_ask(body, scenario, {**body.context, "anchors": [body.item]}))


def _ask(
    body: RecommendBody | SimilarBody | PopularBody,
    scenario: str,
    context: dict[str, Any],
    history: list[HistoryEvent] | None = None,
) -> Ask:
    return Ask(
        scenario=scenario,
        user=body.user,
        history=history,
        k=body.k,
        context=context,
        filter=body.filter,
        exclude=body.exclude,
        request_id=body.request_id,
        cursor=body.cursor or None,
    )


ANSWER = {
    "request_id": "0b9c3f7e2a5d4c1e",
    "scenario": "home",
    "bundle": "20261122T035700123-1f3a9c0d",
    "items": [
        {
            "id": "1",
            "score": 4.25,
            "position": 0,
            "sources": ["sasrec", "covisit"],
            "propensity": 0.95,
            "because": "588",
        }
    ],
    "degraded": False,
    "notes": [],
    "cursor": "c2Nyb2xsMGI5YzNmN2UyYTVkNGMxZQ",
}
PROBLEMS = (400, 404, 408, 409, 413, 415, 422, 503)
OPERATIONS = (
    Operation(
        "POST",
        "/v1/recommend",
        recommend,
        "Recommend for a user, or for a visitor who sends a history; scroll on with the reply's cursor",
        body=RecommendBody,
        reply=Answer,
        body_example={
            "scenario": "home",
            "user": "42",
            "k": 10,
            "context": {"region": "de", "device": "phone"},
            "filter": 'genre has any ["Comedy"] and year >= 1990',
        },
        reply_example=ANSWER,
        problems=PROBLEMS,
    ),
    Operation(
        "POST",
        "/v1/similar",
        similar,
        "Items like one item: the slate of a scenario that works from anchors",
        body=SimilarBody,
        reply=Answer,
        body_example={"item": "1", "k": 6},
        reply_example={**ANSWER, "scenario": "related"},
        problems=PROBLEMS,
    ),
    Operation(
        "POST",
        "/v1/popular",
        popular,
        "What most people like, without what the user has seen",
        body=PopularBody,
        reply=Answer,
        body_example={"user": "42", "filter": "year >= 1990"},
        reply_example={**ANSWER, "scenario": "popular"},
        problems=PROBLEMS,
    ),
)
