"""The contract of an event log, and the small records it answers with."""

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Protocol, Self

from polyscene.core.arrays import Codes, Floats, Times
from polyscene.core.clock import DAY_MS
from polyscene.events.event import EdgePut, Event, Exposure, ItemPut, Merge, Posted, Record, UserPut

KEEP_KEYS_MS = DAY_MS
"""How long an idempotency key is remembered."""
SHOWN = "exposure"
"""The action name under which `item_days` counts the slates that showed an item."""


@dataclass(frozen=True, slots=True)
class Once:
    """An idempotency key: a request sent twice under one key is done once.

    `key`: 1 to 255 printable ASCII characters, of the client's choice. `digest`: 16 bytes of what the
    request said, so that a key used for something else is noticed.
    """

    key: str
    digest: bytes


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of an append.

    `duplicates` were already there (a resend) and count as acknowledged; `conflicts` are the ids among
    them whose content differs from what is kept: the first one stays. `position`: of the log, afterwards.
    `repeated`: the key of the append was known; all else is what the first append under it was told.
    """

    accepted: int
    duplicates: int
    position: int
    conflicts: tuple[str, ...] = ()
    repeated: bool = False


@dataclass(frozen=True, slots=True)
class Erased:
    """How many rows of a user and of the guests merged into it were deleted.

    `puts`: of the user, of edges at either end, and merges. `position`: of the last erasure record; of an
    unknown user: zeros, and the position the log had.
    """

    events: int
    puts: int
    exposures: int
    position: int


@dataclass(frozen=True, slots=True)
class Columns:
    """All interactions as equally long arrays (N,), by rising log position; ids as the log's codes."""

    position: Times
    user: Codes
    item: Codes
    action: Codes
    scenario: Codes
    time: Times
    value: Floats

    def __len__(self) -> int:
        return len(self.position)


@dataclass(frozen=True, slots=True)
class Bulk:
    """Many interactions of one source, as equally long columns.

    Row r is the event ``"<source>:<rows[r]>"``, so importing the same source again adds nothing; give a
    changed file another `source` (its digest, say). `times` UTC ms, or positions for data without a clock.
    """

    source: str
    rows: Sequence[int]
    users: Sequence[str]
    items: Sequence[str]
    actions: Sequence[str]
    scenarios: Sequence[str]
    times: Sequence[int]
    values: Sequence[float]

    def __len__(self) -> int:
        return len(self.rows)


def nobody(code: int) -> str:
    """The text that stands for an erased user: a NUL, which ids may not hold, and the code."""
    return f"\0{code}"


class LogReader(Protocol):
    """The half of an event log that changes nothing; what training looks at.

    Every record has a position: 1, 2, 3 ... in the order of arrival, never given out twice; erasing and
    repeated imports leave gaps. Ids get dense codes (0, 1, 2 ...) in the transaction that first names
    them: never reused. All methods may be called from any thread; all raise StoreError when the file
    can't be read.
    """

    @property
    def position(self) -> int:
        """Position of the last record; 0 for an empty log."""
        ...

    def exposure(self, request_id: str) -> Exposure | None:
        """The exposure of a request, also when it is not on disk yet."""
        ...

    def exposures(
        self, user: str | None = None, n: int = 100, after: tuple[int, str] | None = None
    ) -> list[Exposure]:
        """The newest `n` exposures on disk (of one user), newest first; ties by request id.

        With `after`, a time and request id, those that come behind it in this order.
        """
        ...

    def read(self, since: int = 0, limit: int = 10_000) -> list[tuple[int, Record]]:
        """Up to `limit` records with a position above `since`, by position."""
        ...

    def columns(self, until: int | None = None, user: str | None = None) -> Columns:
        """All interactions with a position up to and including `until` (None: all).

        With `user` only that user's, by time then position; none for an unknown one.
        """
        ...

    def newest_time(self) -> int | None:
        """The latest time (UTC ms) that any event says it happened; None without events."""
        ...

    def item_puts(self, until: int | None = None) -> list[tuple[int, ItemPut]]:
        """All item puts with a position up to and including `until`, by position."""
        ...

    def user_puts(self, user: str | None = None, until: int | None = None) -> list[tuple[int, UserPut]]:
        """All puts of users, or of one, with a position up to and including `until`, by position."""
        ...

    def edge_puts(self, until: int | None = None) -> list[tuple[int, EdgePut]]:
        """All edge puts with a position up to and including `until`, by position."""
        ...

    def edges(
        self,
        source: str | None = None,
        relation: str | None = None,
        target: str | None = None,
        *,
        after: tuple[str, str, str] | None = None,
        n: int = 100,
    ) -> list[EdgePut]:
        """Up to `n` edges that hold now, by (source, relation, target), those behind `after`.

        Of each edge the put of the last position counts; deleted ones are left out. None matches all.
        """
        ...

    def merges(self, until: int | None = None) -> list[tuple[int, Merge]]:
        """All merges with a position up to and including `until`, by position."""
        ...

    def item_days(self, item: str) -> list[tuple[int, str, int]]:
        """How often what was done with an item on each day: (UTC day in ms, action, count).

        By day, then action. Slates that showed the item, once on disk, count under `SHOWN` (on top of
        events that bear this name). Empty for an unknown item.
        """
        ...

    def newest(self, n: int = 50) -> list[tuple[int, Record]]:
        """The last `n` records, newest first."""
        ...

    def newest_events(
        self, n: int = 50, *, before: int | None = None, user: str | None = None, item: str | None = None
    ) -> list[tuple[int, Event]]:
        """The last `n` events with a position below `before`, newest first; of one user, of one item."""
        ...

    def user_tail(self, user: str, n: int, until: int | None = None) -> list[tuple[int, Event]]:
        """A user's last `n` events by time then position, oldest first; only positions up to `until`."""
        ...

    def user_items(self, user: str) -> Codes:
        """Codes of all items a user has events with, rising; empty for an unknown user."""
        ...

    def item_ids(self, since: int = 0) -> list[str]:
        """Item ids by code, from code `since` on: a reader asks for what it doesn't have yet."""
        ...

    def user_ids(self, since: int = 0) -> list[str]:
        """User ids by code; an erased one stands as `nobody(code)`, which no id can be."""
        ...

    def action_names(self) -> list[str]:
        """Actions by code."""
        ...

    def scenario_names(self) -> list[str]:
        """Scenarios of events by code."""
        ...

    def kind_names(self) -> list[str]:
        """Item kinds by code."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *failure: object) -> None: ...

    def close(self) -> None:
        """Writes what waits and lets go of the files; the log can't be used afterwards."""
        ...


class EventLog(LogReader, Protocol):
    """Append, read since, read a user's last n, erase a user."""

    @property
    def fault(self) -> str | None:
        """Why writing has ended until the log is opened again; None while it goes on."""
        ...

    def append(self, records: Sequence[Posted], *, once: Once | None = None) -> Receipt:
        """Keeps all records, or none; returns when they are safe on disk.

        An event whose id is known, or a put or merge equal to an older one in all fields, is a duplicate.
        A merge gives both its users codes, the source first; the ends of an edge get none. With `once` the
        key is kept together with the records; the same key and digest within `KEEP_KEYS_MS` of the first
        time adds nothing and gives the first receipt, `repeated`.

        Raises:
            InputError: A record or the key is malformed; the text names its index and field.
            ConflictError: The key is known with another digest; nothing was kept.
            StoreError: Nothing was kept: the disk or the database refused.
        """
        ...

    def submit(self, records: Sequence[Posted], *, once: Once | None = None) -> "Future[Receipt]":
        """As `append`, without waiting: the future holds its receipt, or what it would raise.

        What is done when the future is done runs on the writer's thread: it holds up the next commit.

        Raises:
            InputError: As `append`.
            StoreError: The log is closed.
        """
        ...

    def append_columns(self, bulk: Bulk) -> Receipt:
        """Keeps many interactions at once, quickly.

        Works in several transactions, so a crash may keep a head of it: importing again completes it.
        Conflicts are not looked for. Raises as `append`; then too a head may have been kept.
        """
        ...

    def append_exposure(self, exposure: Exposure) -> None:
        """Keeps an exposure soon, without waiting; the first one of a request id stays.

        Loss window: what was appended since the last `flush`, at most about 0.1 s, dies with the process.

        Raises:
            BusyError: Too many wait for the disk.
        """
        ...

    def flush(self) -> None:
        """Returns when every exposure appended before is safe on disk. Raises StoreError if it can't be."""
        ...

    def erase_user(self, user: str, at: int) -> Erased:
        """Deletes a user's events, puts and exposures and the id itself; the code stays, nameless.

        So also for every guest merged into the user, and for those merged into them. Edges with one of
        these ids at either end, merges that name one, and all idempotency keys whose receipt tells of
        conflicts (these are event ids) are deleted too. One `Erasure` record each, the user's first, then
        guests by rising code, tells those who read along. `at`: UTC ms.
        """
        ...
