"""What a client asks, what it gets, and what resolving the one into queries needs to see."""

from collections.abc import Mapping
from typing import Annotated, Any, Protocol

import msgspec

from polyscene.core.arrays import Array, Codes
from polyscene.core.catalogue import Catalogue


class HistoryEvent(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One act of an anonymous visitor, sent along with the ask; `time` is UTC ms."""

    item: str
    action: str = "interaction"
    value: float = 1.0
    time: int | None = None


class Ask(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One request for a slate.

    `user` is an outside id, None for a visitor. `history`, oldest first, stands in for what is known
    of the user. `k` defaults to the scenario's slate. `context`: ``"anchors"`` are the ids of the items
    on the page, in the cart or in the playlist, ``"region"`` counts for availability, and other texts
    and numbers (device, place ..) are handed to the stages. `filter` narrows the scenario's own rules.
    `cursor` goes on where an earlier answer ended; nothing that was shown since its scroll began comes
    again.
    """

    scenario: str
    user: str | None = None
    history: list[HistoryEvent] | None = None
    k: Annotated[int, msgspec.Meta(ge=1, le=1000)] | None = None
    context: dict[str, Any] = {}
    filter: str | None = None
    exclude: list[str] = []
    request_id: str | None = None
    cursor: str | None = None


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """One place of a slate: `sources` brought the item, `because` is the id of a history item."""

    id: str
    score: float
    position: int
    sources: list[str]
    propensity: float
    because: str | None = None


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """A slate with outside ids; `degraded` says that a fallback or a skipped stage had a hand in it.

    `notes` tell what degraded it, who is not known, and why it is short. `cursor` asks for what comes
    after these items; empty: there is no more.
    """

    request_id: str
    scenario: str
    bundle: str
    items: list[Shown]
    degraded: bool
    notes: list[str]
    cursor: str = ""


class PageRow(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One placement of a page: its scenario, and what differs from row to row."""

    scenario: str
    k: Annotated[int, msgspec.Meta(ge=1, le=1000)] | None = None
    context: dict[str, Any] = {}
    filter: str | None = None


class PageAsk(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Several slates for one user at once; no item comes twice. The earlier row has the first choice."""

    rows: list[PageRow]
    user: str | None = None
    history: list[HistoryEvent] | None = None
    exclude: list[str] = []
    request_id: str | None = None


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """The slates of a page, in the order asked; row n is logged as request ``<request_id>/<n>``.

    A row that could not be answered is empty, and its notes say why.
    """

    request_id: str
    rows: list[Answer]
    degraded: bool


class Ids(Protocol):
    """Outside ids and their codes, both ways."""

    def codes(self, ids: Any) -> Codes:
        """int32 codes of the ids; -1 for an id never put or seen."""
        ...

    def id(self, code: int) -> str:
        """The outside id of a code."""
        ...


class Sight(Protocol):
    """What resolving an ask reads: the live world, or the world as of a time for a replay."""

    @property
    def codes(self) -> Ids:
        """The item ids."""
        ...

    def user(self, user: str) -> int:
        """The code that a user id answers as: a merged guest's is that of its target; -1 if unknown."""
        ...

    @property
    def catalogue(self) -> Catalogue:
        """The items as of now, or as of the replayed time."""
        ...

    @property
    def actions(self) -> tuple[str, ...]:
        """Names behind the action column of histories."""
        ...

    @property
    def scenarios(self) -> tuple[str, ...]:
        """Names behind the scenario column of histories."""
        ...

    def history(self, user: str, last: int) -> Mapping[str, Array]:
        """The newest `last` events of a user, oldest first, as `HISTORY_COLUMNS`; empty if unknown."""
        ...

    def seen(self, user: str) -> Codes:
        """Item codes the user ever interacted with; empty if unknown."""
        ...
