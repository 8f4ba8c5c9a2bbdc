"""`/v1/recommend`: the slate for one ask."""

from starlette.requests import Request
from starlette.responses import Response

from polyscene.scenario.ask import Answer, Ask, HistoryEvent
from polyscene.serve.bodies import json_reply, read_body
from polyscene.serve.house import house
from polyscene.serve.operations import Operation
from polyscene.serve.wire.answers import PastBody, RecommendBody


async def recommend(request: Request) -> Response:
    """Answers an ask from all that is known up to now."""
    body = await read_body(request, RecommendBody)
    here = house(request)
    return json_reply(await here.readers.run(here.engine.recommend, _ask(body)))


def _ask(body: RecommendBody) -> Ask:
    return Ask(
        scenario=body.scenario,
        user=body.user,
        history=None if body.history is None else [_past(each) for each in body.history],
        k=body.k,
        context={"anchors": body.context.anchors} if body.context.anchors else {},
        filter=body.filter,
        exclude=body.exclude,
        request_id=body.request_id,
    )


def _past(body: PastBody) -> HistoryEvent:
    return HistoryEvent(item=body.item, action=body.action, value=body.value, time=body.time)


ANSWER = {
    "request_id": "0b9c3f7e2a5d4c1e",
    "scenario": "home",
    "bundle": "home-20261122-1f3a",
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
}
OPERATIONS = (
    Operation(
        "POST",
        "/v1/recommend",
        recommend,
        "Recommend for a user, or for a visitor who sends a history",
        body=RecommendBody,
        reply=Answer,
        body_example={
            "scenario": "home",
            "user": "42",
            "k": 10,
            "filter": 'genre has any ["Comedy"] and year >= 1990',
        },
        reply_example=ANSWER,
        problems=(400, 404, 408, 409, 413, 415, 422, 503),
    ),
)
