"""The records of the log: what users did, what is known of items and users, what was shown.

All are frozen msgspec structs whose types carry the bounds, so a JSON decoder refuses what is out of
range; `check.check_records` says the rest (text, finite numbers, times) with index and field.
"""

from hashlib import blake2b
from typing import Annotated, Any

import msgspec

Id = Annotated[str, msgspec.Meta(min_length=1, max_length=512)]
"""An outside id: 1 to 512 characters, no control characters."""
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
"""An action or kind."""
Value = bool | int | float | str | list[str] | None
"""An attribute; None in a patch takes the attribute away."""
Attributes = dict[str, Value]
IMPRESSION = "impression"
"""The action of an event that says an item was visible: no act of the user, so no history holds it."""


class Event(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An interaction: one act of a user on an item.

    `id` names the event itself: a second event of the same id is a resend. `time` UTC ms. `value` is the
    rating, weight or amount. `request_id` and `position` (0 = first) tell which slate place was acted on.
    """

    id: Id
    user: Id
    item: Id
    time: int
    action: Name = "interaction"
    value: float = 1.0
    scenario: Annotated[str, msgspec.Meta(max_length=128)] = ""
    request_id: Id | None = None
    position: Annotated[int, msgspec.Meta(ge=0)] | None = None
    attributes: Attributes = {}


class ItemPut(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is known of an item from `time` (UTC ms) on.

    Replaces all attributes; with `patch` only those named (None takes one away; `kind` is left as it
    is); with `delete` the item may not be shown any more until it is put again.
    """

    id: Id
    time: int
    kind: Name = "item"
    attributes: Attributes = {}
    delete: bool = False
    patch: bool = False


class UserPut(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is known of a user from `time` (UTC ms) on; `patch` as for items."""

    id: Id
    time: int
    attributes: Attributes = {}
    patch: bool = False


class EdgePut(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """From `time` (UTC ms) on, `source` stands in `relation` to `target` with a `weight`; `delete` ends it.

    Both ends are ids of items, users or other things of a graph; (source, relation, target) is the key.
    """

    source: Id
    relation: Name
    target: Id
    time: int
    weight: float = 1.0
    delete: bool = False


class Merge(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """From `time` (UTC ms) on, what `source` (a guest) did and does counts as done by `target`."""

    source: Id
    target: Id
    time: int


class Erasure(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A user was forgotten: whoever holds rows of this user code drops them. Written by the log alone."""

    user_code: int
    time: int


Put = ItemPut | UserPut | EdgePut | Merge
"""A fact that names no event: it is known again by all its fields together."""
Posted = Event | Put
"""What a client may append."""
Record = Posted | Erasure
"""What a reader may meet."""


class Exposure(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one request was answered with, and all that is needed to answer it so again.

    `items`, `scores` and `propensities` (probability of being shown at its place) are equally long, first
    place first. `user` None: anonymous. `log_position`: the state it was answered from. `ask`: the request
    as it was resolved. `skipped`: stages the runner left out.
    """

    request_id: Id
    scenario: str
    bundle: str
    time: int
    seed: int
    log_position: int
    user: str | None = None
    ask: dict[str, Any] = {}
    items: list[str] = []
    scores: list[float] = []
    propensities: list[float] = []
    skipped: list[str] = []
    trace: dict[str, Any] = {}


_ENCODER = msgspec.msgpack.Encoder(order="deterministic")


def key_of(put: Put) -> bytes:
    """16 bytes that two puts share only if they say the same: this is how a resent put is known."""
    return blake2b(_ENCODER.encode((type(put).__name__, put)), digest_size=16).digest()
