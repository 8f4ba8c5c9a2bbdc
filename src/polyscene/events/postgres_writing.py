"""What the writer thread does inside a transaction in PostgreSQL: append, import, expose, forget."""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import repeat
from typing import Any

import msgspec

from polyscene.core.errors import ConflictError
from polyscene.events.check import other_digest
from polyscene.events.event import EdgePut, Erasure, Event, Exposure, Merge, Posted, Put, key_of
from polyscene.events.log import KEEP_KEYS_MS, Bulk, Erased, Once, Receipt
from polyscene.events.names import CodeBook, Family
from polyscene.events.postgres_server import Connection
from polyscene.events.rows import USER_PUT, Row, event_row, exposure_of, exposure_row, put_row, says, shown


@dataclass(frozen=True, slots=True)
class Table:
    """A table that rows are copied into, with the types of its columns."""

    name: str
    columns: str
    types: tuple[str, ...]

    def copy(self, connection: Connection, rows: Sequence[Row]) -> None:
        """Adds rows; COPY beats INSERT from the first row on (see bench/postgres.py)."""
        if not rows:
            return
        target = f"COPY {self.name} ({self.columns}) FROM STDIN (FORMAT BINARY)"
        with connection.cursor() as cursor, cursor.copy(target) as copy:
            copy.set_types(self.types)
            for row in rows:
                copy.write_row(row)


EVENT_COLUMNS = "position, id, user_code, item_code, action_code, scenario_code, time, value, extra"
_EVENTS = Table(
    "events",
    EVENT_COLUMNS,
    ("int8", "text", "int4", "int4", "int4", "int4", "int8", "float8", "bytea"),
)
_PUTS = Table("puts", "position, type, code, key, payload", ("int8", "int2", "int4", "bytea", "bytea"))
_EDGES = Table(
    "edges", "position, source, relation, target, gone", ("int8", "text", "text", "text", "bool")
)
_MERGES = Table("merges", "position, source_code, target_code", ("int8", "int4", "int4"))
_EXPOSURES = Table("exposures", "request_id, user_id, time, payload", ("text", "text", "int8", "bytea"))
_NAMES = Table("names", "family, code, name", ("int2", "int4", "text"))
_COUNT_SHOWN = """
INSERT INTO shown (item, day, count) SELECT * FROM unnest(%s::text[], %s::bigint[], %s::bigint[])
ON CONFLICT (item, day) DO UPDATE SET count = shown.count + excluded.count
"""
_FIND_KEY = "SELECT digest, accepted, duplicates, position, conflicts FROM once WHERE key = %s"
_KEEP_KEY = """
INSERT INTO once (key, digest, time, accepted, duplicates, position, conflicts)
VALUES (%s, %s, %s, %s, %s, %s, %s)
"""
_GUESTS = """
WITH RECURSIVE members (code) AS (
    SELECT %s::integer
    UNION SELECT merges.source_code FROM merges JOIN members ON merges.target_code = members.code
)
SELECT code, name FROM members JOIN names USING (code) WHERE family = 0 AND name IS NOT NULL ORDER BY code
"""


class PostgresBook(CodeBook):
    """The code book over PostgreSQL; it also holds new rows until `write` copies them all at once."""

    def __init__(self, connection: Connection, position: int) -> None:
        super().__init__(connection, position)
        self._rows: dict[Table, list[Row]] = {}
        self.events: dict[str, Row] = {}
        """Those in `add` but not in the table yet, by id."""
        self.keys: set[bytes] = set()
        """Of puts in `add`, as `events`."""

    def add(self, table: Table, row: Row) -> None:
        """Enters a row, which stands in its table once the transaction ends or `write` was called."""
        self._rows.setdefault(table, []).append(row)

    def write(self, connection: Connection) -> None:
        """Stores rows and codes of this transaction so far."""
        super().write(connection)
        for table, rows in self._rows.items():
            table.copy(connection, rows)
        self._forget_rows()

    def _clear(self) -> None:
        super()._clear()
        self._forget_rows()

    def _forget_rows(self) -> None:
        self._rows = {}
        self.events.clear()
        self.keys.clear()

    def _store(self, connection: Connection, new: Sequence[tuple[Family, int, str]]) -> None:
        _NAMES.copy(connection, new)

    def _unname(self, connection: Connection, code: int) -> None:
        connection.execute("UPDATE names SET name = NULL WHERE family = 0 AND code = %s", (code,))


def append(connection: Connection, book: PostgresBook, records: Sequence[Posted]) -> Receipt:
    """Adds the records that are new; see `EventLog.append`."""
    kept = _kept_events(connection, [record.id for record in records if isinstance(record, Event)])
    keys = _kept_keys(connection, [key_of(record) for record in records if not isinstance(record, Event)])
    accepted, conflicts = 0, []
    for record in records:
        if isinstance(record, Event):
            row = kept.get(record.id) or book.events.get(record.id)
            if row is None:
                book.events[record.id] = row = event_row(record, book)
                book.add(_EVENTS, row)
                accepted += 1
            elif not says(row, record, book):
                conflicts.append(record.id)
        elif (key := key_of(record)) not in keys and key not in book.keys:
            book.keys.add(key)
            _add_put(book, record)
            accepted += 1
    return Receipt(accepted, len(records) - accepted, book.position, tuple(conflicts))


def _add_put(book: PostgresBook, put: Put | Erasure) -> None:
    book.add(_PUTS, put_row(put, book))
    if isinstance(put, EdgePut):
        book.add(_EDGES, (book.position, put.source, put.relation, put.target, put.delete))
    elif isinstance(put, Merge):
        users = (book.known(Family.USER, put.source), book.known(Family.USER, put.target))
        book.add(_MERGES, (book.position, *users))


def _kept_events(connection: Connection, ids: list[str]) -> dict[str, Row]:
    if not ids:
        return {}
    query = f"SELECT {EVENT_COLUMNS} FROM events WHERE id = ANY(%s)"  # noqa: S608 (constants)
    return {row[1]: row for row in connection.execute(query, (ids,), binary=True)}


def _kept_keys(connection: Connection, keys: list[bytes]) -> set[bytes]:
    if not keys:
        return set()
    return {key for (key,) in connection.execute("SELECT key FROM puts WHERE key = ANY(%s)", (keys,))}


def append_once(
    connection: Connection, book: PostgresBook, records: Sequence[Posted], once: Once, now: int
) -> Receipt | ConflictError:
    """Appends unless the key is known, and keeps the key; `now` UTC ms.

    The error is given, not raised: it is the caller's, while other work of the transaction is sound.
    """
    connection.execute("DELETE FROM once WHERE time <= %s", (now - KEEP_KEYS_MS,))
    # only its hash is kept: the text of a key is the client's and may name a user
    key = blake2b(once.key.encode(), digest_size=16).digest()
    row = connection.execute(_FIND_KEY, (key,)).fetchone()
    if row is None:
        receipt = append(connection, book, records)
        conflicts = msgspec.json.encode(receipt.conflicts).decode() if receipt.conflicts else None
        counts = (receipt.accepted, receipt.duplicates, receipt.position)
        connection.execute(_KEEP_KEY, (key, once.digest, now, *counts, conflicts))
        return receipt
    digest, accepted, duplicates, position, told = row
    if digest != once.digest:
        return other_digest(once)
    return Receipt(
        accepted, duplicates, position, tuple(msgspec.json.decode(told)) if told else (), repeated=True
    )


def append_slice(connection: Connection, book: PostgresBook, bulk: Bulk, start: int, stop: int) -> Receipt:
    """Adds rows `start` to `stop` of a bulk, passing over those whose id is there."""
    book.write(connection)
    ids = list(map("%s:%d".__mod__, zip(repeat(bulk.source), bulk.rows[start:stop], strict=False)))
    known = {name for (name,) in connection.execute("SELECT id FROM events WHERE id = ANY(%s)", (ids,))}
    fields = zip(
        range(book.position + 1, book.position + 1 + stop - start),
        ids,
        _codes(book, Family.USER, bulk.users[start:stop]),
        _codes(book, Family.ITEM, bulk.items[start:stop]),
        _codes(book, Family.ACTION, bulk.actions[start:stop]),
        _codes(book, Family.SCENARIO, bulk.scenarios[start:stop]),
        map(int, bulk.times[start:stop]),
        map(float, bulk.values[start:stop]),
        repeat(None),
        strict=False,
    )
    new: dict[str, Row] = {}
    for row in fields:
        if row[1] not in known:
            new.setdefault(row[1], row)
    _EVENTS.copy(connection, list(new.values()))
    if new:
        book.position += stop - start
    return Receipt(len(new), stop - start - len(new), book.position)


def _codes(book: PostgresBook, family: Family, names: Sequence[str]) -> list[int]:
    return [book.code(family, name) for name in names]


def add_exposures(connection: Connection, exposures: Sequence[Exposure]) -> None:
    """Adds exposures; the first one of a request id stays."""
    ids = [exposure.request_id for exposure in exposures]
    query = "SELECT request_id FROM exposures WHERE request_id = ANY(%s)"
    known = {request_id for (request_id,) in connection.execute(query, (ids,))}
    new = [exposure for exposure in exposures if exposure.request_id not in known]
    _EXPOSURES.copy(connection, [exposure_row(exposure) for exposure in new])
    _count_shown(connection, new, +1)


def _count_shown(connection: Connection, exposures: Sequence[Exposure], sign: int) -> None:
    counts = shown(exposures)
    if counts:
        items, days = zip(*counts, strict=True)
        totals = [sign * count for count in counts.values()]
        connection.execute(_COUNT_SHOWN, (list(items), list(days), totals))


def erase_user(connection: Connection, book: PostgresBook, user: str, at: int) -> tuple[list[int], Erased]:
    """Deletes the rows of a user and of its guests; gives the codes they had and what was deleted."""
    book.write(connection)
    code = book.known(Family.USER, user)
    guests = [row for row in connection.execute(_GUESTS, (code,)) if row[0] != code]
    names = [user, *(name for _, name in guests)]
    exposures = _erase_exposures(connection, names)
    edges = _erase_relations(connection, "edges", ("source", "target"), names)
    connection.execute("DELETE FROM once WHERE conflicts IS NOT NULL")
    if code < 0 and not edges:
        return [], Erased(0, 0, exposures, book.position)
    codes = [book.code(Family.USER, name) for name in names]
    events = _count(connection, "DELETE FROM events WHERE user_code = ANY(%s)", codes)
    puts = _count(connection, f"DELETE FROM puts WHERE type = {USER_PUT} AND code = ANY(%s)", codes)  # noqa: S608
    merges = _erase_relations(connection, "merges", ("source_code", "target_code"), codes)
    for name in names:
        _add_put(book, Erasure(user_code=book.forget(connection, name), time=at))
    return codes, Erased(events, puts + edges + merges, exposures, book.position)


def _erase_exposures(connection: Connection, users: list[str]) -> int:
    query = "DELETE FROM exposures WHERE user_id = ANY(%s) RETURNING payload"
    gone = [exposure_of(payload) for (payload,) in connection.execute(query, (users,), binary=True)]
    _count_shown(connection, gone, -1)
    items = [item for item, _ in shown(gone)]
    connection.execute("DELETE FROM shown WHERE count = 0 AND item = ANY(%s)", (items,))
    return len(gone)


def _erase_relations(connection: Connection, table: str, ends: tuple[str, str], ids: list[Any]) -> int:
    named = f"{ends[0]} = ANY(%(ids)s) OR {ends[1]} = ANY(%(ids)s)"
    query = f"""
        WITH gone AS (DELETE FROM {table} WHERE {named} RETURNING position)
        DELETE FROM puts USING gone WHERE puts.position = gone.position
    """  # noqa: S608 (constants)
    return connection.execute(query, {"ids": ids}).rowcount


def _count(connection: Connection, query: str, codes: list[int]) -> int:
    return connection.execute(query, (codes,)).rowcount
