"""`/v1/requests`: how an answer came about, and the same answer again."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from polyscene.jobs.engine import Engine
from polyscene.scenario.ask import Shown
from polyscene.serve.bodies import json_reply, path_id
from polyscene.serve.house import house
from polyscene.serve.operations import Operation
from polyscene.serve.routes.recommend import ANSWER
from polyscene.serve.wire.answers import Replay

TOLERANCE = 1e-5


async def get_request(request: Request) -> Response:
    """The trace of a request: every candidate, its sources and scores, and why it was dropped."""
    here = house(request)
    return json_reply(await here.readers.run(here.engine.trace, path_id(request)))


async def replay_request(request: Request) -> Response:
    """Answers a logged request again from the state as of its time, and compares."""
    here = house(request)
    return json_reply(await here.readers.run(_replay, here.engine, path_id(request)))


def _replay(engine: Engine, request_id: str) -> Replay:
    logged: list[dict[str, Any]] = engine.trace(request_id)["items"]
    answer = engine.replay(request_id)
    return Replay(equal=_equal(logged, answer.items), answer=answer)


def _equal(logged: list[dict[str, Any]], again: list[Shown]) -> bool:
    """Same items with the same scores; items whose scores are that close may have swapped places."""
    scores = {each["id"]: each["score"] for each in logged}
    return len(logged) == len(again) and all(
        now.id in scores
        and abs(now.score - scores[now.id]) <= TOLERANCE
        and abs(now.score - before["score"]) <= TOLERANCE
        for before, now in zip(logged, again, strict=True)
    )


OPERATIONS = (
    Operation(
        "POST",
        "/v1/requests/{id:path}/replay",
        replay_request,
        "Answer a logged request again and say whether the slate is the same",
        reply=Replay,
        reply_example={"equal": True, "answer": ANSWER},
        problems=(404, 422, 503),
    ),
    Operation(
        "GET",
        "/v1/requests/{id:path}",
        get_request,
        "How an answer came about",
        reply=dict[str, Any],
        reply_example={
            "request_id": ANSWER["request_id"],
            "scenario": "home",
            "bundle": ANSWER["bundle"],
            "time": 1767225600000,
            "items": [{"id": "1", "position": 0, "score": 4.25, "propensity": 0.95}],
            "chain": [
                {
                    "scenario": "home",
                    "stages": [{"name": "covisit", "before": 0, "after": 1, "ms": 0.2, "skipped": ""}],
                    "candidates": [{"item": "1", "place": 0, "dropped": "", "rank:covisit": 0.0}],
                }
            ],
        },
        problems=(404, 422, 503),
    ),
)
