"""Reading an event log file; any number of readers, in any process, also while one writes."""

import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from heapq import merge
from itertools import islice
from operator import itemgetter
from pathlib import Path
from threading import Lock
from typing import Any, Self

import numpy as np

from polyscene.core.arrays import Array, Codes
from polyscene.core.clock import DAY_MS
from polyscene.core.errors import StoreError
from polyscene.events.event import EdgePut, Event, Exposure, ItemPut, Merge, Record, UserPut
from polyscene.events.formats import FORMAT
from polyscene.events.log import SHOWN, Columns
from polyscene.events.names import Family, NameLists, names_since
from polyscene.events.opening import check
from polyscene.events.rows import (
    EDGE_PUT,
    EVENT_COLUMNS,
    ITEM_PUT,
    MERGE,
    USER_PUT,
    Row,
    event_of,
    exposure_of,
    put_of,
    slate_filter,
)
from polyscene.events.seal import matches_seal
from polyscene.events.store import connect, format_of, guard, last_position
from polyscene.events.wal import look_at_wal

_EVENTS = f"SELECT {EVENT_COLUMNS} FROM events "  # noqa: S608 (a constant)
_USER = "(SELECT code FROM names WHERE family = 0 AND name = ?)"
_ITEM = "(SELECT code FROM names WHERE family = 1 AND name = ?)"
_TAIL = f"{_EVENTS} WHERE user = {_USER} AND position <= ? ORDER BY time DESC, position DESC LIMIT ?"
_PUTS = "SELECT position, type, payload FROM puts"
_PUTS_OF_TYPE = f"{_PUTS} WHERE type = ? AND position <= ? ORDER BY position"
_PUTS_OF_USER = f"{_PUTS} WHERE position <= ? AND type = {USER_PUT} AND code = {_USER} ORDER BY position"
_COLUMNS = "SELECT position, user, item, action, scenario, time, value FROM events WHERE position <= ?"
_USER_COLUMNS = f"{_COLUMNS} AND user = {_USER} ORDER BY time, position"
_COLUMN_TYPES = np.dtype(
    [
        ("position", np.int64),
        ("user", np.int32),
        ("item", np.int32),
        ("action", np.int32),
        ("scenario", np.int32),
        ("time", np.int64),
        ("value", np.float32),
    ]
)
_NO_LIMIT = (1 << 63) - 1
SLICE = 1 << 19
"""Rows that are turned into columns at once."""
# of the rows of one edge, SQLite gives the one with the largest position
_EDGES = """
SELECT position, type, payload FROM puts JOIN (
    SELECT source, relation, target, max(position) AS position, gone FROM edges WHERE {where}
    GROUP BY source, relation, target HAVING NOT gone ORDER BY source, relation, target LIMIT ?
) USING (position) ORDER BY source, relation, target
"""
_ITEM = "(SELECT code FROM names WHERE family = 1 AND name = ?)"
# division rounds towards zero, days begin below
_ITEM_DAYS = f"""
SELECT (time - CASE WHEN time < 0 THEN {DAY_MS - 1} ELSE 0 END) / ? AS day, action, count(*)
FROM events WHERE item = {_ITEM} GROUP BY day, action
"""  # noqa: S608 (constants)


class SqliteReader:
    """A `LogReader` over a file that a `SqliteLog`, here or in another process, may be writing to.

    Raises:
        StoreError: The file is missing, damaged, foreign or of a newer format.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._names = NameLists(names_since)
        self._idle: list[sqlite3.Connection] = []
        self._pool = Lock()
        self._open = True
        if not self.path.is_file():
            raise StoreError(f"{self.path}: there is no event log; append to it first, or mend the path")
        with self._reading("open") as connection:
            found = format_of(connection, self.path)
            if found < FORMAT:
                raise StoreError(
                    f"{self.path}: format {found} is older than {FORMAT}; upgrade it with "
                    "`polyscene log migrate` or by opening it for writing; both keep a copy beside it"
                )
            sealed = None if look_at_wal(self.path).used else matches_seal(self.path)
            if sealed is False:
                check(connection, self.path, sealed)

    @contextmanager
    def _reading(self, doing: str) -> Iterator[sqlite3.Connection]:
        with self._pool:
            if not self._open:
                raise StoreError(f"{self.path}: the log is closed; open it again")
            connection = self._idle.pop() if self._idle else None
        with guard(self.path, doing):
            connection = connection or connect(self.path, readonly=True)
            try:
                yield connection
            finally:
                self._give_back(connection)

    def _give_back(self, connection: sqlite3.Connection) -> None:
        with self._pool:
            if self._open:
                self._idle.append(connection)
                return
        connection.close()

    @property
    def position(self) -> int:
        """Position of the last record; 0 for an empty log."""
        with self._reading("position") as connection:
            return last_position(connection)

    def exposure(self, request_id: str) -> Exposure | None:
        """The exposure of a request."""
        with self._reading("exposure") as connection:
            row = connection.execute(
                "SELECT payload FROM exposures WHERE request_id = ?", (request_id,)
            ).fetchone()
            return exposure_of(row[0]) if row else None

    def exposures(
        self, user: str | None = None, n: int = 100, after: tuple[int, str] | None = None
    ) -> list[Exposure]:
        """The newest `n` exposures (of one user), newest first."""
        which, facts = slate_filter(user, after, "user", "?")
        query = f"SELECT payload FROM exposures{which} ORDER BY time DESC, request_id LIMIT ?"  # noqa: S608
        with self._reading("exposures") as connection:
            return [exposure_of(payload) for (payload,) in connection.execute(query, (*facts, n))]

    def read(self, since: int = 0, limit: int = 10_000) -> list[tuple[int, Record]]:
        """Up to `limit` records with a position above `since`, by position."""
        with self._reading("read") as connection, _snapshot(connection):
            events = connection.execute(
                f"{_EVENTS} WHERE position > ? ORDER BY position LIMIT ?", (since, limit)
            )
            puts = connection.execute(
                f"{_PUTS} WHERE position > ? ORDER BY position LIMIT ?", (since, limit)
            )
            rows = islice(merge(events, puts, key=itemgetter(0)), limit)
            return [(row[0], self._record(row, connection)) for row in rows]

    def newest(self, n: int = 50) -> list[tuple[int, Record]]:
        """The last `n` records, newest first."""
        last = "ORDER BY position DESC LIMIT ?"
        with self._reading("newest") as connection, _snapshot(connection):
            events = connection.execute(f"{_EVENTS} {last}", (n,))
            puts = connection.execute(f"{_PUTS} {last}", (n,))
            rows = islice(merge(events, puts, key=itemgetter(0), reverse=True), n)
            return [(row[0], self._record(row, connection)) for row in rows]

    def newest_events(
        self, n: int = 50, *, before: int | None = None, user: str | None = None, item: str | None = None
    ) -> list[tuple[int, Event]]:
        """The last `n` events with a position below `before`, newest first; of one user, of one item."""
        which = ((f"user = {_USER}", user), (f"item = {_ITEM}", item), ("position < ?", before))
        asked = [(rule, fact) for rule, fact in which if fact is not None]
        where = f"WHERE {' AND '.join(rule for rule, _ in asked)}" if asked else ""
        query = f"{_EVENTS} {where} ORDER BY position DESC LIMIT ?"
        with self._reading("newest_events") as connection, _snapshot(connection):
            rows = connection.execute(query, (*(fact for _, fact in asked), n))
            return [(row[0], event_of(row, self._names, connection)) for row in rows]

    def _record(self, row: Row, connection: sqlite3.Connection) -> Record:
        return put_of(row) if len(row) == 3 else event_of(row, self._names, connection)

    def columns(self, until: int | None = None, user: str | None = None) -> Columns:
        """All interactions with a position up to and including `until`, or those of one user."""
        last = _NO_LIMIT if until is None else until
        with self._reading("columns") as connection:
            if user is not None:
                rows = connection.execute(_USER_COLUMNS, (last, user)).fetchall()
                return _columns(iter(rows), len(rows))
            most = min(last, last_position(connection))
            return _columns(connection.execute(_COLUMNS, (most,)), most)

    def newest_time(self) -> int | None:
        """The latest time of any event."""
        with self._reading("newest_time") as connection:
            (newest,) = connection.execute("SELECT max(time) FROM events").fetchone()
            return None if newest is None else int(newest)

    def item_puts(self, until: int | None = None) -> list[tuple[int, ItemPut]]:
        """All item puts with a position up to and including `until`, by position."""
        return self._puts(_PUTS_OF_TYPE, (ITEM_PUT, _NO_LIMIT if until is None else until))

    def user_puts(self, user: str | None = None, until: int | None = None) -> list[tuple[int, UserPut]]:
        """All puts of users, or of one, with a position up to and including `until`, by position."""
        last = _NO_LIMIT if until is None else until
        if user is None:
            return self._puts(_PUTS_OF_TYPE, (USER_PUT, last))
        return self._puts(_PUTS_OF_USER, (last, user))

    def edge_puts(self, until: int | None = None) -> list[tuple[int, EdgePut]]:
        """All edge puts with a position up to and including `until`, by position."""
        return self._puts(_PUTS_OF_TYPE, (EDGE_PUT, _NO_LIMIT if until is None else until))

    def merges(self, until: int | None = None) -> list[tuple[int, Merge]]:
        """All merges with a position up to and including `until`, by position."""
        return self._puts(_PUTS_OF_TYPE, (MERGE, _NO_LIMIT if until is None else until))

    def _puts(self, query: str, facts: tuple[object, ...]) -> list[tuple[int, Any]]:
        with self._reading("puts") as connection:
            rows = connection.execute(query, facts)
            return [(row[0], put_of(row)) for row in rows]

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
        ends = {"source": source, "relation": relation, "target": target}
        known = {name: end for name, end in ends.items() if end is not None}
        behind = "(source, relation, target) > (?, ?, ?)" if after else "1"
        where = " AND ".join([*(f"{name} = ?" for name in known), behind])
        with self._reading("edges") as connection:
            rows = connection.execute(_EDGES.format(where=where), (*known.values(), *(after or ()), n))
            return [put_of(row) for row in rows]  # type: ignore[misc]

    def item_days(self, item: str) -> list[tuple[int, str, int]]:
        """How often what was done with an item on each day."""
        with self._reading("item_days") as connection, _snapshot(connection):
            done = connection.execute(_ITEM_DAYS, (DAY_MS, item)).fetchall()
            shown = connection.execute("SELECT day, count FROM shown WHERE item = ?", (item,)).fetchall()
            counts: Counter[tuple[int, str]] = Counter()
            for day, action, count in done:
                counts[day * DAY_MS, self._names.name(connection, Family.ACTION, action)] += count
        for day, count in shown:
            counts[day, SHOWN] += count
        return [(day, action, count) for (day, action), count in sorted(counts.items())]

    def user_tail(self, user: str, n: int, until: int | None = None) -> list[tuple[int, Event]]:
        """A user's last `n` events by time then position, oldest first."""
        with self._reading("user_tail") as connection, _snapshot(connection):
            rows = connection.execute(_TAIL, (user, _NO_LIMIT if until is None else until, n)).fetchall()
            return [(row[0], event_of(row, self._names, connection)) for row in reversed(rows)]

    def user_items(self, user: str) -> Codes:
        """Codes of all items a user has events with, rising."""
        query = f"SELECT DISTINCT item FROM events WHERE user = {_USER} ORDER BY item"  # noqa: S608
        with self._reading("user_items") as connection:
            return np.array([item for (item,) in connection.execute(query, (user,))], np.int32)

    def item_ids(self, since: int = 0) -> list[str]:
        """Item ids by code, from code `since` on."""
        return self._names_since(Family.ITEM, since)

    def user_ids(self, since: int = 0) -> list[str]:
        """User ids by code; an erased one stands as `nobody(code)`."""
        return self._names_since(Family.USER, since)

    def action_names(self) -> list[str]:
        """Actions by code."""
        return self._names_since(Family.ACTION)

    def scenario_names(self) -> list[str]:
        """Scenarios of events by code."""
        return self._names_since(Family.SCENARIO)

    def kind_names(self) -> list[str]:
        """Item kinds by code."""
        return self._names_since(Family.KIND)

    def _names_since(self, family: Family, since: int = 0) -> list[str]:
        with self._reading("ids") as connection:
            return names_since(connection, family, since)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        self.close()

    def close(self) -> None:
        """Lets go of the file."""
        with self._pool:
            self._open = False
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()


@contextmanager
def _snapshot(connection: sqlite3.Connection) -> Iterator[None]:
    """Several queries see one state of the file."""
    connection.execute("BEGIN")
    try:
        yield
    finally:
        connection.execute("COMMIT")


def _columns(rows: Iterator[tuple[Any, ...]], most: int) -> Columns:
    """Rows, at most `most`, as columns; a slice at a time, so that they are never in memory twice."""
    # memory that nothing was written to is not taken, so `most` may be far too many
    whole: dict[str, Array] = {
        name: np.empty(most, _COLUMN_TYPES[name]) for name in _COLUMN_TYPES.names or ()
    }
    count = 0
    while len(table := np.fromiter(islice(rows, SLICE), _COLUMN_TYPES)):
        for name, column in whole.items():
            column[count : count + len(table)] = table[name]
        count += len(table)
    return Columns(**{name: column[:count] for name, column in whole.items()})
