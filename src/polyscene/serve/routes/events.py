"""`/v1/events`: what users did."""

from starlette.requests import Request
from starlette.responses import Response

from polyscene.events.event import Event
from polyscene.serve.bodies import json_reply, read_body
from polyscene.serve.house import house
from polyscene.serve.operations import Operation
from polyscene.serve.wire.events import EventBody, EventsBody, Kept


async def post_events(request: Request) -> Response:
    """Keeps a batch; 200 means it is on disk and counts in the next answer.

    An event without a time gets the server's, so a resend of it differs in time alone: no conflict.
    """
    batch = await read_body(request, EventsBody)
    here = house(request)
    now = here.clock.now()
    receipt = await here.writers.run(
        here.engine.intake.events, [_event(body, now) for body in batch.events]
    )
    dated = {body.id for body in batch.events if body.time is not None}
    return json_reply(
        Kept(
            accepted=receipt.accepted,
            duplicates=receipt.duplicates,
            position=receipt.position,
            conflicts=[each for each in receipt.conflicts if each in dated],
        )
    )


def _event(body: EventBody, now: int) -> Event:
    return Event(
        id=body.id,
        user=body.user,
        item=body.item,
        time=now if body.time is None else body.time,
        action=body.action,
        value=body.value,
        scenario=body.scenario,
        request_id=body.request_id,
        position=body.position,
        attributes=body.attributes,
    )


OPERATIONS = (
    Operation(
        "POST",
        "/v1/events",
        post_events,
        "Keep a batch of events; acknowledged means on disk, the same id counts once",
        role="write",
        body=EventsBody,
        reply=Kept,
        body_example={"events": [{"id": "e-1", "user": "42", "item": "1", "action": "interaction"}]},
        reply_example={"accepted": 1, "duplicates": 0, "position": 1000210, "conflicts": []},
        problems=(400, 408, 413, 415, 422, 503),
    ),
)
