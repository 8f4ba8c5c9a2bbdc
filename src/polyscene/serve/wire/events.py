"""Events in, receipts out."""

from typing import Annotated

import msgspec

from polyscene.events.event import Event
from polyscene.serve.wire.base import PLAIN, Attributes, Cursor, Id, Moment, Name, Number, Strict


class EventBody(Strict, frozen=True, kw_only=True):
    """One act of a user on an item. The same `id` sent again counts once; `time` defaults to now.

    Without an `id` the server makes one: from the Idempotency-Key if there is one, else a new one. The
    action "impression" says that the item was visible; it is counted and is no act of the user.
    """

    user: Id
    item: Id
    id: Id | None = None
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


class EventsParams(Strict, frozen=True, kw_only=True):
    """Which events to list: of one user id, of one item, or all."""

    n: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 50
    cursor: Cursor | None = None
    user: Id | None = None
    item: Id | None = None


class Events(msgspec.Struct, frozen=True, kw_only=True):
    """Events, the one that came last first. `cursor` leads to earlier ones; None at the end."""

    events: list[Event]
    cursor: str | None = None


class KeptEvents(msgspec.Struct, frozen=True, kw_only=True):
    """What is on disk now.

    `duplicates` were there before, `conflicts` among them with other content: the first one stays. `ids`
    of all events in their order, where the server made any. `notes`: what is odd and was kept all the same.
    `repeated`: the Idempotency-Key was known, and the figures are those of the first time.
    """

    accepted: int
    duplicates: int
    position: int
    conflicts: list[str] = []
    ids: list[str] = []
    notes: list[str] = []
    repeated: bool = False
