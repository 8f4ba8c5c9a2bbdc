"""`/v1/events`: what users did."""

import asyncio
from collections.abc import Sequence
from hashlib import blake2b
from typing import Annotated
from uuid import uuid4

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from polyscene.events.event import Event
from polyscene.events.log import Once, Receipt
from polyscene.jobs.intake import Intake
from polyscene.serve.bodies import json_reply, read_once, read_params
from polyscene.serve.bulk import Taking, take_lines
from polyscene.serve.cursors import cursor_of, place_of
from polyscene.serve.house import house
from polyscene.serve.operations import NDJSON, Operation
from polyscene.serve.wire.events import EventBody, Events, EventsBody, EventsParams, KeptEvents
from polyscene.serve.wire.kept import KeptLines

Position = Annotated[int, msgspec.Meta(ge=1, lt=1 << 62)]


async def post_event(request: Request) -> Response:
    """Keeps one event; 200 means it is on disk and counts in the next answer.

    No thread waits for the disk, so thousands may.
    """
    body, once = await read_once(request, EventBody)
    here = house(request)
    event = event_of(body, here.clock.now(), once, 0)
    attribution = here.engine.intake.attribution
    if attribution.remembers(event):
        notes = attribution.notes((event,))
    else:  # before the event is kept: a desk that is full must refuse all of it or nothing
        notes = await here.writers.run(attribution.notes, (event,))
    receipt = await asyncio.wrap_future(here.engine.intake.event(event, once))
    return json_reply(_kept([body], [event], receipt, notes))


async def post_events(request: Request) -> Response:
    """Keeps a batch; 200 means it is on disk and counts in the next answer."""
    batch, once = await read_once(request, EventsBody)
    here = house(request)
    now = here.clock.now()
    events = [event_of(body, now, once, place) for place, body in enumerate(batch.events)]
    receipt, notes = await here.writers.run(_keep, here.engine.intake, events, once)
    return json_reply(_kept(batch.events, events, receipt, notes))


async def post_event_stream(request: Request) -> Response:
    """Keeps events that come line by line."""
    intake = house(request).engine.intake
    return await take_lines(request, Taking(EventBody, event_of, intake.events, intake.attribution.notes))


async def list_events(request: Request) -> Response:
    """The events that came last."""
    params = read_params(request, EventsParams)
    here = house(request)
    before = None if params.cursor is None else place_of(params.cursor, Position)
    found = await here.readers.run(
        here.engine.lookup.events, params.n + 1, before=before, user=params.user, item=params.item
    )
    more = cursor_of(found[params.n - 1][0]) if len(found) > params.n else None
    return json_reply(Events(events=[event for _, event in found[: params.n]], cursor=more))


def event_of(body: EventBody, now: int, once: Once | None, place: int) -> Event:
    """The event that a body tells; `place` is its number in the request.

    Under an idempotency key an event without an id gets one that is the same whenever the request is sent
    again, also long after the key itself was forgotten.
    """
    return Event(
        id=_made_id(once, place) if body.id is None else body.id,
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


def _made_id(once: Once | None, place: int) -> str:
    if once is None:
        return uuid4().hex
    return f"{blake2b(once.key.encode() + once.digest, digest_size=16).hexdigest()}:{place}"


def _keep(intake: Intake, events: Sequence[Event], once: Once | None) -> tuple[Receipt, list[str]]:
    notes = intake.attribution.notes(events)  # first: what can fail must not do so behind what was kept
    return intake.events(events, once), notes


def _kept(
    bodies: Sequence[EventBody], events: Sequence[Event], receipt: Receipt, notes: list[str]
) -> KeptEvents:
    """An event without a time gets the server's, so a resend of it differs in time alone: no conflict."""
    dated = {body.id for body in bodies if body.time is not None} if receipt.conflicts else set()
    made = any(body.id is None for body in bodies)
    return KeptEvents(
        accepted=receipt.accepted,
        duplicates=receipt.duplicates,
        position=receipt.position,
        conflicts=[each for each in receipt.conflicts if each in dated],
        ids=[event.id for event in events] if made else [],
        notes=notes,
        repeated=receipt.repeated,
    )


_EVENT = {
    "id": "e-1",
    "user": "42",
    "item": "1",
    "action": "click",
    "request_id": "0b9c3f7e2a5d4c1e",
    "position": 0,
}
_KEPT = {"accepted": 1, "duplicates": 0, "position": 1000210}
_REFUSALS = (400, 408, 409, 413, 415, 422, 503)
OPERATIONS = (
    Operation(
        "POST",
        "/v1/event",
        post_event,
        "Keep one event; acknowledged means on disk, the same id counts once",
        role="write",
        body=EventBody,
        reply=KeptEvents,
        body_example=_EVENT,
        reply_example=_KEPT,
        problems=_REFUSALS,
        once=True,
    ),
    Operation(
        "POST",
        "/v1/events",
        post_events,
        "Keep a batch of events, all or none; acknowledged means on disk, the same id counts once",
        role="write",
        body=EventsBody,
        reply=KeptEvents,
        body_example={"events": [_EVENT, {"user": "42", "item": "588", "action": "impression"}]},
        reply_example=_KEPT | {"accepted": 2, "ids": ["e-1", "5f0c9f7be4a94d4f8d9a7a3c2b1e0d9f"]},
        problems=_REFUSALS,
        once=True,
    ),
    Operation(
        "POST",
        "/v1/events/stream",
        post_event_stream,
        "Keep events that come one a line; good lines are kept, bad ones are named",
        role="write",
        body=EventBody,
        reply=KeptLines,
        body_example=_EVENT,
        reply_example={
            "on_disk_to": 3,
            "accepted": 2,
            "duplicates": 0,
            "refused": 1,
            "position": 1000212,
            "errors": [{"line": 2, "detail": "Object missing required field `user`"}],
        },
        problems=_REFUSALS,
        body_media=NDJSON,
        once=True,
    ),
    Operation(
        "GET",
        "/v1/events",
        list_events,
        "The events that came last, newest first",
        params=EventsParams,
        reply=Events,
        reply_example={"events": [_EVENT | {"time": 1767225600000}], "cursor": "zgAPQkA"},
        problems=(422, 503),
    ),
)
