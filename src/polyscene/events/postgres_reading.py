"""Reading an event log in PostgreSQL; any number of readers, also while one writes, also on a standby."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from heapq import merge
from itertools import islice
from operator import itemgetter
from threading import BoundedSemaphore, Lock
from typing import Any, Self

import numpy as np

from polyscene.core.arrays import Array, Codes
from polyscene.core.clock import DAY_MS
from polyscene.core.errors import BusyError, StoreError
from polyscene.events.event import EdgePut, Event, Exposure, ItemPut, Merge, Record, UserPut
from polyscene.events.log import SHOWN, Columns
from polyscene.events.names import Family, NameLists, named
from polyscene.events.postgres_server import Address, Connection, guard, has_news, is_idle
from polyscene.events.postgres_tables import check_format, doubts, last_position
from polyscene.events.postgres_writing import EVENT_COLUMNS
from polyscene.events.rows import (
    EDGE_PUT,
    ITEM_PUT,
    MERGE,
    USER_PUT,
    Row,
    event_of,
    exposure_of,
    put_of,
    slate_filter,
)

SCHEMA = "polyscene"
MOST_READERS = 16
"""Connections that read at the same time; a server has a hundred, for all its clients."""
READ_WAIT_S = 30.0
CHUNK = 200_000
"""Positions read at once by `columns`: bounds what the server holds in memory."""

_NO_LIMIT = (1 << 63) - 1
_EVENTS = f"SELECT {EVENT_COLUMNS} FROM events"  # noqa: S608 (constants)
_USER = "(SELECT code FROM names WHERE family = 0 AND name = %s)"
_ITEM = "(SELECT code FROM names WHERE family = 1 AND name = %s)"
# "+ 0" keeps the index of positions out of it: a user's events are few, positions up to a place are not
_UNTIL = "position + 0 <= %s"
_TAIL = f"{_EVENTS} WHERE user_code = {_USER} AND {_UNTIL} ORDER BY time DESC, position DESC LIMIT %s"
_PUTS = "SELECT position, type, payload FROM puts"
_PUTS_OF_TYPE = f"{_PUTS} WHERE type = %s AND position <= %s ORDER BY position"
_PUTS_OF_USER = f"{_PUTS} WHERE {_UNTIL} AND type = {USER_PUT} AND code = {_USER} ORDER BY position"
_NAMES = "SELECT code, name FROM names WHERE family = %s AND code >= %s ORDER BY code"
_EDGES = """
SELECT position, type, payload FROM puts JOIN (
    SELECT DISTINCT ON (source, relation, target) * FROM edges WHERE {where}
    ORDER BY source, relation, target, position DESC
) AS last USING (position) WHERE NOT gone ORDER BY source, relation, target LIMIT %s
"""
# division rounds towards zero, days begin below
_ITEM_DAYS = f"""
SELECT (time - CASE WHEN time < 0 THEN {DAY_MS - 1} ELSE 0 END) / {DAY_MS} AS day, action_code, count(*)
FROM events WHERE item_code = {_ITEM} GROUP BY day, action_code
"""  # noqa: S608 (constants)
# an array a column, not a row an event: the client's part of a million events falls from 1.7 s to 0.1 s
_COLUMN_TYPES = {
    "position": np.int64,
    "user_code": np.int32,
    "item_code": np.int32,
    "action_code": np.int32,
    "scenario_code": np.int32,
    "time": np.int64,
    "value": np.float64,
}
_ARRAYS = ", ".join(f"array_send(array_agg({name}))" for name in _COLUMN_TYPES)
_COLUMNS = f"SELECT {_ARRAYS} FROM events WHERE position > %s AND position <= %s"  # noqa: S608 (constants)
_USER_COLUMNS = f"SELECT {_ARRAYS} FROM events WHERE user_code = {_USER} AND {_UNTIL}"  # noqa: S608
_ARRAY_HEAD = 20


class PostgresReader:
    """A `LogReader` over a log that a `PostgresLog`, here or in another process, may be writing to.

    Raises:
        NotFoundError: There is no log at this address.
        StoreError: The server can't be reached, or the schema is foreign or of another format.
    """

    def __init__(self, dsn: str, schema: str = SCHEMA) -> None:
        self._address = Address.of(dsn, schema)
        self._names = NameLists(_names_since)
        self._idle: list[Connection] = []
        self._pool = Lock()
        self._places = BoundedSemaphore(MOST_READERS)
        self._open = True
        with ExitStack() as undo:
            undo.callback(PostgresReader.close, self)
            with self._reading("open") as connection:
                check_format(connection, self._address)
            undo.pop_all()

    @contextmanager
    def _reading(self, doing: str) -> Iterator[Connection]:
        if not self._places.acquire(timeout=READ_WAIT_S):
            raise BusyError(
                f"{self._address}: {doing}: {MOST_READERS} threads read already; try again later"
            )
        try:
            with guard(self._address, doing):
                connection = self._take()
                try:
                    yield connection
                finally:
                    self._give_back(connection)
        finally:
            self._places.release()

    def _take(self) -> Connection:
        while True:
            with self._pool:
                if not self._open:
                    raise StoreError(f"{self._address}: the log is closed; open it again")
                connection = self._idle.pop() if self._idle else None
            if connection is None:
                return self._address.connect(readonly=True)
            if not has_news(connection):
                return connection
            connection.close()

    def _give_back(self, connection: Connection) -> None:
        with self._pool:
            if self._open and is_idle(connection):
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
        query = "SELECT payload FROM exposures WHERE request_id = %s"
        rows = self._rows("exposure", query, (request_id,))
        return exposure_of(rows[0][0]) if rows else None

    def exposures(
        self, user: str | None = None, n: int = 100, after: tuple[int, str] | None = None
    ) -> list[Exposure]:
        """The newest `n` exposures (of one user), newest first."""
        which, facts = slate_filter(user, after, "user_id", "%s")
        query = f"SELECT payload FROM exposures{which} ORDER BY time DESC, request_id LIMIT %s"  # noqa: S608
        return [exposure_of(payload) for (payload,) in self._rows("exposures", query, (*facts, n))]

    def read(self, since: int = 0, limit: int = 10_000) -> list[tuple[int, Record]]:
        """Up to `limit` records with a position above `since`, by position."""
        tail = "WHERE position > %s ORDER BY position LIMIT %s"
        return self._records("read", tail, (since, limit), backwards=False)[:limit]

    def newest(self, n: int = 50) -> list[tuple[int, Record]]:
        """The last `n` records, newest first."""
        return self._records("newest", "ORDER BY position DESC LIMIT %s", (n,), backwards=True)[:n]

    def newest_events(
        self, n: int = 50, *, before: int | None = None, user: str | None = None, item: str | None = None
    ) -> list[tuple[int, Event]]:
        """The last `n` events with a position below `before`, newest first; of one user, of one item."""
        which = {f"user_code = {_USER}": user, f"item_code = {_ITEM}": item}
        asked = {rule: text for rule, text in which.items() if text is not None}
        column = "position + 0" if asked else "position"
        where = " AND ".join([*asked, f"{column} < %s"])
        facts = (*asked.values(), _NO_LIMIT if before is None else before, n)
        with self._reading("newest_events") as connection, connection.transaction():
            query = f"{_EVENTS} WHERE {where} ORDER BY {column} DESC LIMIT %s"
            rows = _ask(connection, query, facts)
            return [(row[0], event_of(row, self._names, connection)) for row in rows]

    def _records(
        self, doing: str, tail: str, facts: tuple[int, ...], *, backwards: bool
    ) -> list[tuple[int, Record]]:
        with self._reading(doing) as connection, connection.transaction():
            events = _ask(connection, f"{_EVENTS} {tail}", facts)
            puts = _ask(connection, f"{_PUTS} {tail}", facts)
            rows = islice(merge(events, puts, key=itemgetter(0), reverse=backwards), facts[-1])
            return [
                (row[0], put_of(row) if len(row) == 3 else event_of(row, self._names, connection))
                for row in rows
            ]

    def columns(self, until: int | None = None, user: str | None = None) -> Columns:
        """All interactions with a position up to and including `until`, or those of one user."""
        if user is not None:
            facts = (user, _NO_LIMIT if until is None else until)
            return _unpacked(self._rows("columns", _USER_COLUMNS, facts), by_time=True)
        with self._reading("columns") as connection, connection.transaction():
            last = last_position(connection)
            last = last if until is None else min(last, until)
            spans = [(start, min(start + CHUNK, last)) for start in range(0, last, CHUNK)]
            return _unpacked([_ask(connection, _COLUMNS, span)[0] for span in spans], by_time=False)

    def newest_time(self) -> int | None:
        """The latest time of any event."""
        ((newest,),) = self._rows("newest_time", "SELECT max(time) FROM events", ())
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
        return [(row[0], put_of(row)) for row in self._rows("puts", query, facts)]

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
        behind = "(source, relation, target) > (%s, %s, %s)" if after else "true"
        where = " AND ".join([*(f"{name} = %s" for name in known), behind])
        facts = (*known.values(), *(after or ()), n)
        rows = self._rows("edges", _EDGES.format(where=where), facts)
        return [put_of(row) for row in rows]  # type: ignore[misc]

    def item_days(self, item: str) -> list[tuple[int, str, int]]:
        """How often what was done with an item on each day."""
        counts: Counter[tuple[int, str]] = Counter()
        with self._reading("item_days") as connection, connection.transaction():
            for day, action, count in _ask(connection, _ITEM_DAYS, (item,)):
                counts[day * DAY_MS, self._names.name(connection, Family.ACTION, action)] += count
            query = "SELECT day, count FROM shown WHERE item = %s"
            for day, count in _ask(connection, query, (item,)):
                counts[day, SHOWN] += count
        return [(day, action, count) for (day, action), count in sorted(counts.items())]

    def user_tail(self, user: str, n: int, until: int | None = None) -> list[tuple[int, Event]]:
        """A user's last `n` events by time then position, oldest first."""
        facts = (user, _NO_LIMIT if until is None else until, n)
        with self._reading("user_tail") as connection, connection.transaction():
            rows = _ask(connection, _TAIL, facts)
            return [(row[0], event_of(row, self._names, connection)) for row in reversed(rows)]

    def user_items(self, user: str) -> Codes:
        """Codes of all items a user has events with, rising."""
        query = f"SELECT DISTINCT item_code FROM events WHERE user_code = {_USER} ORDER BY item_code"  # noqa: S608
        return np.array([item for (item,) in self._rows("user_items", query, (user,))], np.int32)

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
            return _names_since(connection, family, since)

    def _rows(self, doing: str, query: str, facts: tuple[object, ...]) -> list[Row]:
        with self._reading(doing) as connection:
            return _ask(connection, query, facts)

    def doubts(self) -> list[str]:
        """What the server is set to that lets it lose what it acknowledged, with what to do."""
        with self._reading("settings") as connection:
            return doubts(connection)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        self.close()

    def close(self) -> None:
        """Lets go of the connections."""
        with self._pool:
            self._open = False
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()


def _ask(connection: Connection, query: str, facts: Iterable[object]) -> list[Row]:
    held = [storable(fact) if isinstance(fact, str) else fact for fact in facts]
    return connection.execute(query, held, binary=True).fetchall()


def storable(text: str) -> str | None:
    """The text, or None (which equals nothing) if PostgreSQL can't hold it, so that nothing has this id."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return None
    return None if "\0" in text else text


def _names_since(connection: Connection, family: Family, since: int) -> list[str]:
    return named(connection.execute(_NAMES, (family, since)))


def _unpacked(parts: Sequence[Row], *, by_time: bool) -> Columns:
    columns: dict[str, Array] = {}
    parts = [part for part in parts if part[0] is not None]
    for place, (name, dtype) in enumerate(_COLUMN_TYPES.items()):
        # behind the head of an array: the length of each value, then the value, in network order
        cell = np.dtype([("length", ">i4"), ("value", np.dtype(dtype).newbyteorder(">"))])
        values = [np.frombuffer(part[place], cell, offset=_ARRAY_HEAD)["value"] for part in parts]
        columns[name.removesuffix("_code")] = np.concatenate([np.empty(0, dtype), *values], dtype=dtype)
    # sorted here, where it is cheap: the server would do it on disk
    position = columns["position"]
    order = np.lexsort((position, columns["time"])) if by_time else np.argsort(position, kind="stable")
    with np.errstate(over="ignore"):
        columns["value"] = columns["value"].astype(np.float32)
    return Columns(**{name: column[order] for name, column in columns.items()})
