"""Events in, receipts out."""

from typing import Annotated

import msgspec

from polyscene.serve.wire.base import PLAIN, Attributes, Id, Moment, Name, Number, Strict


class EventBody(Strict, frozen=True, kw_only=True):
    """One act of a user on an item. The same `id` sent again counts once; `time` defaults to now."""

    id: Id
    user: Id
    item: Id
    action: Name = "interaction"
    time: Moment | None = None
    value: Number = 1.0
    scenario: Annotated[str, msgspec.Meta(max_length=128, pattern=PLAIN)] = ""
    request_id: Id | None = None
    position: Annotated[int, msgspec.Meta(ge=0, le=10_000)] | None = None
    attributes: Attributes = {}


class EventsBody(Strict, frozen=True, kw_only=True):
    """A batch of events; all are kept, or none."""

    events: Annotated[list[EventBody], msgspec.Meta(min_length=1, max_length=1000)]


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """What is on disk now. `duplicates` were there before, `conflicts` among them with other content."""

    accepted: int
    duplicates: int
    position: int
    conflicts: list[str] = []
