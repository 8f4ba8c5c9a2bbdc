"""The shapes of the wire: what a client may send, with every bound in the type, and what it gets."""

from typing import Annotated, Any

import msgspec

from polyscene.scenario.ask import Answer

PLAIN = r"^(?![\s\S]*[\x00-\x1f\x7f])"
"""Holds for a text without control characters; the same in Python and in a browser."""

Id = Annotated[str, msgspec.Meta(min_length=1, max_length=512, pattern=PLAIN)]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=128, pattern=PLAIN)]
Moment = Annotated[
    int, msgspec.Meta(ge=0, le=253_402_300_799_999, description="UTC milliseconds since 1970")
]
Number = Annotated[float, msgspec.Meta(ge=-1e12, le=1e12)]
Text = Annotated[str, msgspec.Meta(max_length=10_000)]
Label = Annotated[str, msgspec.Meta(max_length=512)]
Tags = Annotated[list[Label], msgspec.Meta(max_length=200)]
Attributes = Annotated[dict[Name, bool | Number | Text | Tags | None], msgspec.Meta(max_length=100)]


class Strict(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Root of query strings and of bodies: frozen, by keyword, unknown fields refused."""


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


class ItemBody(Strict, frozen=True, kw_only=True):
    """What is known of an item from `time` (default now) on; a `patch` changes only what it names."""

    kind: Name = "item"
    attributes: Attributes = {}
    time: Moment | None = None
    patch: bool = False


class ItemsParams(Strict, frozen=True, kw_only=True):
    """A search by words of the title, or items by id."""

    query: Annotated[str, msgspec.Meta(max_length=200)] | None = None
    id: Annotated[list[Id], msgspec.Meta(max_length=200)] = msgspec.field(default_factory=list)
    n: Annotated[int, msgspec.Meta(ge=1, le=200)] = 20


class Items(msgspec.Struct, frozen=True, kw_only=True):
    """Items with what is known of each; `missing` are ids nobody ever put or saw."""

    items: list[dict[str, Any]]
    missing: list[str] = []


class PastBody(Strict, frozen=True, kw_only=True):
    """One act of an anonymous visitor."""

    item: Id
    action: Name = "interaction"
    value: Number = 1.0
    time: Moment | None = None


class Context(Strict, frozen=True, kw_only=True):
    """Where the ask comes from: `anchors` are the items on the page, in the cart or in the playlist."""

    anchors: Annotated[list[Id], msgspec.Meta(max_length=200)] = []


class RecommendBody(Strict, frozen=True, kw_only=True):
    """One ask for a slate, for a `user` or for a visitor with a `history` (oldest first)."""

    scenario: Name
    user: Id | None = None
    history: Annotated[list[PastBody], msgspec.Meta(max_length=1000)] | None = None
    k: Annotated[int, msgspec.Meta(ge=1, le=1000)] | None = None
    context: Context = Context()
    filter: Annotated[str, msgspec.Meta(max_length=2000)] | None = None
    exclude: Annotated[list[Id], msgspec.Meta(max_length=1000)] = []
    request_id: Id | None = None


class Count(Strict, frozen=True, kw_only=True):
    """How many to list."""

    n: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 20


class Users(msgspec.Struct, frozen=True, kw_only=True):
    """Ids of some users."""

    users: list[str]


class History(msgspec.Struct, frozen=True, kw_only=True):
    """The newest events of a user, newest first."""

    user: str
    events: list[dict[str, Any]]


class Scenarios(msgspec.Struct, frozen=True, kw_only=True):
    """The scenarios that can be asked for."""

    scenarios: list[dict[str, Any]]


class Bundles(msgspec.Struct, frozen=True, kw_only=True):
    """The saved scenarios; of each scenario one is current."""

    bundles: list[dict[str, Any]]


class Replay(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a logged request given again; `equal` up to 1e-5 in score."""

    equal: bool
    answer: Answer


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the process answers."""

    status: str
