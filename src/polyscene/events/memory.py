"""The event log in plain lists: nothing on disk, nothing clever; the twin that `SqliteLog` is held to."""

import math
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import replace
from typing import Self, TypeVar

import numpy as np

from polyscene.core.arrays import Codes
from polyscene.core.clock import DAY_MS, Clock, SystemClock
from polyscene.core.errors import ConflictError
from polyscene.events.check import check_bulk, check_exposure, check_once, check_records, other_digest
from polyscene.events.event import (
    EdgePut,
    Erasure,
    Event,
    Exposure,
    ItemPut,
    Merge,
    Posted,
    Record,
    UserPut,
    key_of,
)
from polyscene.events.log import KEEP_KEYS_MS, SHOWN, Bulk, Columns, Erased, Once, Receipt, nobody

R = TypeVar("R", bound=Record)


class MemoryLog:
    """An `EventLog` for tests and experiments; everything is lost with the process.

    Slow where it may be: reads walk the whole log. Calls are safe from several threads because each
    one swaps or grows its lists under the interpreter's lock; one thread should append.
    """

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._keys: dict[str, tuple[int, Once, Receipt]] = {}
        self._records: list[tuple[int, Record]] = []
        self._events: dict[str, Event] = {}
        self._exposures: dict[str, Exposure] = {}
        self._position = 0
        self._users: list[str] = []
        self._items: list[str] = []
        self._actions: list[str] = []
        self._scenarios: list[str] = []
        self._kinds: list[str] = []

    @property
    def fault(self) -> str | None:
        """None: nothing can fail."""
        return None

    @property
    def position(self) -> int:
        """Position of the last record; 0 for an empty log."""
        return self._position

    def append(self, records: Sequence[Posted], *, once: Once | None = None) -> Receipt:
        """Keeps all records, or none."""
        check_records(records)
        if once is None:
            return self._append(records)
        check_once(once)
        now = self._clock.now()
        at, known, first = self._keys.get(once.key, (now - KEEP_KEYS_MS, once, None))
        if first is None or at <= now - KEEP_KEYS_MS:
            first = self._append(records)
            self._keys[once.key] = (now, once, first)
            return first
        if known.digest != once.digest:
            raise other_digest(once)
        return replace(first, repeated=True)

    def _append(self, records: Sequence[Posted]) -> Receipt:
        accepted, conflicts = 0, []
        for record in records:
            known = self._known(record)
            if not known:
                self._keep(record)
                accepted += 1
            elif isinstance(record, Event) and record not in known:
                conflicts.append(record.id)
        return Receipt(accepted, len(records) - accepted, self._position, tuple(conflicts))

    def _known(self, record: Posted) -> list[Record]:
        if isinstance(record, Event):
            return [self._events[record.id]] if record.id in self._events else []
        puts = (kept for _, kept in self._records if isinstance(kept, type(record)))
        return [record for kept in puts if key_of(kept) == key_of(record)]

    def _keep(self, record: Record) -> None:
        self._position += 1
        self._records.append((self._position, record))
        match record:
            case Event():
                self._events[record.id] = record
                for names, name in (
                    (self._users, record.user),
                    (self._items, record.item),
                    (self._actions, record.action),
                    (self._scenarios, record.scenario),
                ):
                    _name(names, name)
            case ItemPut():
                _name(self._items, record.id)
                _name(self._kinds, record.kind)
            case UserPut():
                _name(self._users, record.id)
            case Merge():
                _name(self._users, record.source)
                _name(self._users, record.target)

    def submit(self, records: Sequence[Posted], *, once: Once | None = None) -> "Future[Receipt]":
        """As `append`; nothing is left to wait for."""
        future: Future[Receipt] = Future()
        try:
            future.set_result(self.append(records, once=once))
        except ConflictError as problem:
            future.set_exception(problem)
        return future

    def append_columns(self, bulk: Bulk) -> Receipt:
        """Keeps many interactions, one by one."""
        check_bulk(bulk)
        columns = (bulk.rows, bulk.users, bulk.items, bulk.actions, bulk.scenarios, bulk.times, bulk.values)
        return self.append(
            [
                Event(
                    id=f"{bulk.source}:{row}",
                    user=user,
                    item=item,
                    action=action,
                    scenario=scenario,
                    time=int(time),
                    value=float(value),
                )
                for row, user, item, action, scenario, time, value in zip(*columns, strict=True)
            ]
        )

    def append_exposure(self, exposure: Exposure) -> None:
        """Keeps an exposure; the first one of a request id stays."""
        check_exposure(exposure)
        self._exposures.setdefault(exposure.request_id, exposure)

    def flush(self) -> None:
        """Nothing waits."""

    def exposure(self, request_id: str) -> Exposure | None:
        """The exposure of a request."""
        return self._exposures.get(request_id)

    def exposures(
        self, user: str | None = None, n: int = 100, after: tuple[int, str] | None = None
    ) -> list[Exposure]:
        """The newest `n` exposures (of one user), newest first."""
        mine = {
            (-each.time, each.request_id): each
            for each in self._exposures.values()
            if user is None or each.user == user
        }
        behind = (-after[0], after[1]) if after else (-math.inf, "")
        return [mine[place] for place in sorted(mine) if place > behind][:n]

    def read(self, since: int = 0, limit: int = 10_000) -> list[tuple[int, Record]]:
        """Up to `limit` records with a position above `since`, by position."""
        return [pair for pair in self._records if pair[0] > since][:limit]

    def columns(self, until: int | None = None, user: str | None = None) -> Columns:
        """All interactions with a position up to and including `until`, or those of one user."""
        last = self._position if until is None else until
        if user is None:
            pairs = [(at, each) for at, each in self._records if at <= last and isinstance(each, Event)]
        else:
            pairs = self.user_tail(user, len(self._records), until)
        return Columns(
            np.array([at for at, _ in pairs], np.int64),
            np.array([self._users.index(event.user) for _, event in pairs], np.int32),
            np.array([self._items.index(event.item) for _, event in pairs], np.int32),
            np.array([self._actions.index(event.action) for _, event in pairs], np.int32),
            np.array([self._scenarios.index(event.scenario) for _, event in pairs], np.int32),
            np.array([event.time for _, event in pairs], np.int64),
            np.array([event.value for _, event in pairs], np.float32),
        )

    def newest_time(self) -> int | None:
        """The latest time of any event."""
        return max((event.time for event in self._events.values()), default=None)

    def item_puts(self, until: int | None = None) -> list[tuple[int, ItemPut]]:
        """All item puts with a position up to and including `until`, by position."""
        return self._all(ItemPut, until)

    def user_puts(self, user: str | None = None, until: int | None = None) -> list[tuple[int, UserPut]]:
        """All puts of users, or of one, with a position up to and including `until`, by position."""
        return [(at, put) for at, put in self._all(UserPut, until) if user in (None, put.id)]

    def edge_puts(self, until: int | None = None) -> list[tuple[int, EdgePut]]:
        """All edge puts with a position up to and including `until`, by position."""
        return self._all(EdgePut, until)

    def edges(
        self,
        source: str | None = None,
        relation: str | None = None,
        target: str | None = None,
        *,
        after: tuple[str, str, str] | None = None,
        n: int = 100,
    ) -> list[EdgePut]:
        """Up to `n` edges that hold now, by (source, relation, target), those behind `after`."""
        last = {(put.source, put.relation, put.target): put for _, put in self._all(EdgePut)}
        wanted = (source, relation, target)
        found = [
            last[key]
            for key in sorted(last)
            if not last[key].delete
            and (after is None or key > after)
            and all(want in (None, part) for want, part in zip(wanted, key, strict=True))
        ]
        return found[:n]

    def merges(self, until: int | None = None) -> list[tuple[int, Merge]]:
        """All merges with a position up to and including `until`, by position."""
        return self._all(Merge, until)

    def _all(self, kind: type[R], until: int | None = None) -> list[tuple[int, R]]:
        last = self._position if until is None else until
        return [(at, each) for at, each in self._records if at <= last and isinstance(each, kind)]

    def item_days(self, item: str) -> list[tuple[int, str, int]]:
        """How often what was done with an item on each day."""
        done = [(each.time, each.action) for each in self._events.values() if each.item == item]
        shown = [(each.time, SHOWN) for each in self._exposures.values() for it in each.items if it == item]
        counts = Counter((time // DAY_MS * DAY_MS, action) for time, action in done + shown)
        return [(day, action, count) for (day, action), count in sorted(counts.items())]

    def newest(self, n: int = 50) -> list[tuple[int, Record]]:
        """The last `n` records, newest first."""
        return self._records[::-1][:n]

    def newest_events(
        self, n: int = 50, *, before: int | None = None, user: str | None = None, item: str | None = None
    ) -> list[tuple[int, Event]]:
        """The last `n` events with a position below `before`, newest first."""
        last = self._position if before is None else before - 1
        found = [
            (at, event)
            for at, event in self._all(Event, last)
            if user in (None, event.user) and item in (None, event.item)
        ]
        return found[::-1][:n]

    def user_tail(self, user: str, n: int, until: int | None = None) -> list[tuple[int, Event]]:
        """A user's last `n` events by time then position, oldest first."""
        last = self._position if until is None else until
        mine = [
            (at, record)
            for at, record in self._records
            if at <= last and isinstance(record, Event) and record.user == user
        ]
        mine.sort(key=lambda pair: (pair[1].time, pair[0]))
        return mine[max(len(mine) - n, 0) :]

    def user_items(self, user: str) -> Codes:
        """Codes of all items a user has events with, rising."""
        items = {event.item for event in self._events.values() if event.user == user}
        return np.array(sorted(self._items.index(item) for item in items), np.int32)

    def erase_user(self, user: str, at: int) -> Erased:
        """Deletes what is known of a user, and of the guests merged into it."""
        users = self._with_guests(user)
        exposures = [each.request_id for each in self._exposures.values() if each.user in users]
        for request_id in exposures:
            del self._exposures[request_id]
        self._keys = {key: kept for key, kept in self._keys.items() if not kept[2].conflicts}
        gone = [record for _, record in self._records if users.keys() & _named(record)]
        if user not in self._users and not gone:
            return Erased(0, 0, len(exposures), self._position)
        events = {record.id for record in gone if isinstance(record, Event)}
        for each in events:
            del self._events[each]
        self._records = [pair for pair in self._records if not users.keys() & _named(pair[1])]
        _name(self._users, user)
        for code in [self._users.index(each) for each in users]:
            self._users[code] = nobody(code)
            self._keep(Erasure(user_code=code, time=at))
        return Erased(len(events), len(gone) - len(events), len(exposures), self._position)

    def _with_guests(self, user: str) -> dict[str, None]:
        """The user, then everybody merged into it by rising code; a dict, for its order."""
        found, before = {user}, set[str]()
        while found != before:
            before = found
            found = before | {merge.source for _, merge in self._all(Merge) if merge.target in before}
        return dict.fromkeys([user, *sorted(found - {user}, key=self._users.index)])

    def item_ids(self, since: int = 0) -> list[str]:
        """Item ids by code, from code `since` on."""
        return self._items[since:]

    def user_ids(self, since: int = 0) -> list[str]:
        """User ids by code; an erased one stands as `nobody(code)`."""
        return self._users[since:]

    def action_names(self) -> list[str]:
        """Actions by code."""
        return list(self._actions)

    def scenario_names(self) -> list[str]:
        """Scenarios of events by code."""
        return list(self._scenarios)

    def kind_names(self) -> list[str]:
        """Item kinds by code."""
        return list(self._kinds)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        self.close()

    def close(self) -> None:
        """Nothing to let go of."""


def _name(names: list[str], name: str) -> None:
    if name not in names:
        names.append(name)


def _named(record: Record) -> set[str]:
    """The users that a record may tell of; of an edge both ends, since either can be one."""
    match record:
        case Event():
            return {record.user}
        case UserPut():
            return {record.id}
        case EdgePut() | Merge():
            return {record.source, record.target}
    return set()
