"""What the writer thread does inside a transaction to add records: append, import, expose."""

import sqlite3
from collections.abc import Callable, Sequence
from functools import partial
from itertools import repeat

import msgspec

from polyscene.events.event import EdgePut, Erasure, Event, Exposure, Merge, Posted, Put, key_of
from polyscene.events.log import Bulk, Receipt
from polyscene.events.names import CodeBook, Family
from polyscene.events.rows import (
    EVENT_COLUMNS,
    Row,
    count_shown,
    event_row,
    exposure_row,
    put_row,
    says,
)
from polyscene.events.whole import SUMMED, summed

INTO_EVENTS = f"INTO events ({SUMMED}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_FIND_EVENTS = f"SELECT {EVENT_COLUMNS} FROM events WHERE id IN (SELECT value FROM json_each(?))"  # noqa: S608
INSERT_PUT = "INSERT INTO puts (position, type, code, key, payload) VALUES (?, ?, ?, ?, ?)"
_INSERT_EDGE = "INSERT INTO edges (position, source, relation, target, gone) VALUES (?, ?, ?, ?, ?)"
_INSERT_MERGE = "INSERT INTO merges (position, source, target) VALUES (?, ?, ?)"
INSERT_EXPOSURE = "INSERT INTO exposures (request_id, user, time, payload) VALUES (?, ?, ?, ?)"
_KNOWN_REQUESTS = "SELECT request_id FROM exposures WHERE request_id IN (SELECT value FROM json_each(?))"


def append(connection: sqlite3.Connection, book: CodeBook, records: Sequence[Posted]) -> Receipt:
    """Adds the records that are new; see `EventLog.append`."""
    kept = _kept_events(connection, [record.id for record in records if isinstance(record, Event)])
    keys = _kept_keys(connection, [key_of(record) for record in records if not isinstance(record, Event)])
    events: list[Row] = []
    puts: list[Row] = []
    conflicts: list[str] = []
    for record in records:
        if isinstance(record, Event):
            if record.id not in kept:
                kept[record.id] = row = event_row(record, book)
                events.append(row)
            elif not says(kept[record.id], record, book):
                conflicts.append(record.id)
        elif (key := key_of(record)) not in keys:
            keys.add(key)
            puts.append(put_row(record, book))
            relate(connection, book.position, record, partial(book.code, Family.USER))
    connection.executemany(f"INSERT {INTO_EVENTS}", map(summed, events))
    connection.executemany(INSERT_PUT, puts)
    accepted = len(events) + len(puts)
    return Receipt(accepted, len(records) - accepted, book.position, tuple(conflicts))


def relate(
    connection: sqlite3.Connection, position: int, put: Put | Erasure, user: Callable[[str], int]
) -> None:
    """Enters a put that joins two ids in the table where either end is found; `user` gives codes."""
    if isinstance(put, EdgePut):
        connection.execute(_INSERT_EDGE, (position, put.source, put.relation, put.target, int(put.delete)))
    elif isinstance(put, Merge):
        connection.execute(_INSERT_MERGE, (position, user(put.source), user(put.target)))


def _kept_events(connection: sqlite3.Connection, ids: list[str]) -> dict[str, Row]:
    rows = connection.execute(_FIND_EVENTS, (msgspec.json.encode(ids).decode(),))
    return {row[1]: row for row in rows}


def _kept_keys(connection: sqlite3.Connection, keys: list[bytes]) -> set[bytes]:
    found = set()
    for key in keys:
        if connection.execute("SELECT 1 FROM puts WHERE key = ?", (key,)).fetchone():
            found.add(key)
    return found


def append_slice(
    connection: sqlite3.Connection, book: CodeBook, bulk: Bulk, start: int, stop: int
) -> Receipt:
    """Adds rows `start` to `stop` of a bulk, passing over those whose id is there."""
    rows = zip(
        range(book.position + 1, book.position + 1 + stop - start),
        map("%s:%d".__mod__, zip(repeat(bulk.source), bulk.rows[start:stop], strict=False)),
        book.codes(Family.USER, bulk.users[start:stop]),
        book.codes(Family.ITEM, bulk.items[start:stop]),
        book.codes(Family.ACTION, bulk.actions[start:stop]),
        book.codes(Family.SCENARIO, bulk.scenarios[start:stop]),
        map(int, bulk.times[start:stop]),
        map(float, bulk.values[start:stop]),
        repeat(None),
        strict=False,
    )
    accepted = connection.executemany(f"INSERT OR IGNORE {INTO_EVENTS}", map(summed, rows)).rowcount
    if accepted:
        book.position += stop - start
    return Receipt(accepted, stop - start - accepted, book.position)


def add_exposures(connection: sqlite3.Connection, exposures: Sequence[Exposure]) -> None:
    """Adds exposures; the first one of a request id stays."""
    ids = msgspec.json.encode([exposure.request_id for exposure in exposures]).decode()
    known = {request_id for (request_id,) in connection.execute(_KNOWN_REQUESTS, (ids,))}
    new = [exposure for exposure in exposures if exposure.request_id not in known]
    connection.executemany(INSERT_EXPOSURE, map(exposure_row, new))
    count_shown(connection, new, +1)
