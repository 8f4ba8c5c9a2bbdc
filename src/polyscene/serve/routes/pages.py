"""`/v1/page`: the slates of several scenarios, no item twice."""

from starlette.requests import Request
from starlette.responses import Response

from polyscene.scenario.ask import Page, PageAsk, PageRow
from polyscene.serve.bodies import json_reply, read_body
from polyscene.serve.house import house
from polyscene.serve.operations import Operation
from polyscene.serve.routes.recommend import ANSWER, PROBLEMS, past_of
from polyscene.serve.wire.answers import PageBody


async def page(request: Request) -> Response:
    """Answers row after row; a row that fails is empty and says why, the others stand."""
    body = await read_body(request, PageBody)
    here = house(request)
    ask = PageAsk(
        rows=[
            PageRow(scenario=row.scenario, k=row.k, context=row.context, filter=row.filter)
            for row in body.rows
        ],
        user=body.user,
        history=past_of(body.history),
        exclude=body.exclude,
        request_id=body.request_id,
    )
    return json_reply(await here.readers.run(here.engine.answers.page, ask))


OPERATIONS = (
    Operation(
        "POST",
        "/v1/page",
        page,
        "The slates of several scenarios at once, without an item twice",
        body=PageBody,
        reply=Page,
        body_example={
            "user": "42",
            "rows": [
                {"scenario": "home", "k": 10},
                {"scenario": "related", "k": 6, "context": {"anchors": ["1"]}},
            ],
        },
        reply_example={
            "request_id": "5d4c1e0b9c3f7e2a",
            "rows": [{**ANSWER, "request_id": "5d4c1e0b9c3f7e2a/0"}],
            "degraded": False,
        },
        problems=PROBLEMS,
    ),
)
