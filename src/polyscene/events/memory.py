"""The event log in plain lists: nothing on disk, nothing clever; the twin that `SqliteLog` is held to."""

from collections.abc import Sequence

import numpy as np

from polyscene.core.arrays import Codes
from polyscene.events.check import check_bulk, check_exposure, check_records
from polyscene.events.event import Erasure, Event, Exposure, ItemPut, Posted, Record, UserPut, key_of
from polyscene.events.log import Bulk, Columns, Erased, Receipt, nobody


class MemoryLog:
    """An `EventLog` for tests and experiments; everything is lost with the process.

    Slow where it may be: reads walk the whole log. Calls are safe from several threads because each
    one swaps or grows its lists under the interpreter's lock; one thread should append.
    """

    def __init__(self) -> None:
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
    def position(self) -> int:
        """Position of the last record; 0 for an empty log."""
        return self._position

    def append(self, records: Sequence[Posted]) -> Receipt:
        """Keeps all records, or none."""
        check_records(records)
        accepted, conflicts = 0, []
        for record in records:
            known = self._known(record)
            if not known:
                self._keep(record)
                accepted += 1
            elif record not in known:
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

    def exposures(self, user: str | None = None, n: int = 100) -> list[Exposure]:
        """The newest `n` exposures (of one user), newest first."""
        mine = [each for each in self._exposures.values() if user is None or each.user == user]
        return sorted(mine, key=lambda each: (-each.time, each.request_id))[:n]

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
        last = self._position if until is None else until
        return [(at, put) for at, put in self._records if at <= last and isinstance(put, ItemPut)]

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
        """Deletes a user's events, puts and exposures and the id itself."""
        exposures = [each.request_id for each in self._exposures.values() if each.user == user]
        for request_id in exposures:
            del self._exposures[request_id]
        if user not in self._users:
            return Erased(0, 0, len(exposures), self._position)
        gone = [
            record
            for _, record in self._records
            if (isinstance(record, Event) and record.user == user)
            or (isinstance(record, UserPut) and record.id == user)
        ]
        events = {record.id for record in gone if isinstance(record, Event)}
        for each in events:
            del self._events[each]
        self._records = [pair for pair in self._records if pair[1] not in gone]
        code = self._users.index(user)
        self._users[code] = nobody(code)
        self._keep(Erasure(user_code=code, time=at))
        return Erased(len(events), len(gone) - len(events), len(exposures), self._position)

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

    def close(self) -> None:
        """Nothing to let go of."""


def _name(names: list[str], name: str) -> None:
    if name not in names:
        names.append(name)
