"""Whether a log file holds what was written into it, row by row."""

import sqlite3
import zlib
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from typing import Any

import msgspec

from polyscene.events.event import EdgePut, Erasure, Merge, Put, key_of
from polyscene.events.rows import EVENT_COLUMNS, Row, exposure_of, put_of, shown

_encode = msgspec.msgpack.Encoder().encode
SUMMED = f"{EVENT_COLUMNS}, crc"
"""Columns of an event with the sum over those before it."""


def summed(row: Row) -> Row:
    """A row of `EVENT_COLUMNS` with its sum behind."""
    return *row, zlib.crc32(_encode(row))


def is_right(row: Row) -> bool:
    """Whether the sum of a row of `SUMMED` is that of its columns."""
    try:
        return bool(row[-1] == zlib.crc32(_encode(row[:-1])))
    except UnicodeEncodeError:
        return False


def put_in(row: tuple[Any, ...]) -> Put | Erasure | None:
    """The put in a row of position, type, payload, key; None if it isn't the one that was written."""
    try:
        put = put_of(row)
        own = b"erased %d" % put.user_code if isinstance(put, Erasure) else key_of(put)
    except (msgspec.MsgspecError, UnicodeDecodeError, KeyError, TypeError):
        return None
    return put if own == row[3] else None


def is_exposure(row: Row) -> bool:
    """Whether the payload of a row of request id, user, time, payload can be read and says the same."""
    try:
        exposure = exposure_of(row[3])
    except (zlib.error, msgspec.MsgspecError, UnicodeDecodeError, TypeError):
        return False
    return (exposure.request_id, exposure.user, exposure.time) == row[:3]


def structure(connection: sqlite3.Connection) -> list[str]:
    """Faults that the pages themselves show; quick, about half a second for a million records."""
    faults = [" ".join(fault.split()) for (fault,) in connection.execute("PRAGMA quick_check(3)")]
    return [] if faults == ["ok"] else faults


def content(connection: sqlite3.Connection) -> list[str]:
    """The first faults of any kind: pages, indexes, rows; thorough, some seconds for a million records."""
    faults = [" ".join(fault.split()) for (fault,) in connection.execute("PRAGMA integrity_check(3)")]
    if faults != ["ok"]:
        return faults
    try:
        return list(islice(_wrong_rows(connection), 3))
    except sqlite3.OperationalError as problem:
        # a text that is no UTF-8
        return [str(problem)]


def _wrong_rows(connection: sqlite3.Connection) -> Iterator[str]:
    for row in connection.execute(f"SELECT {SUMMED} FROM events"):  # noqa: S608 (constants)
        if not is_right(row):
            yield f"the event at position {row[0]} is not the one that was written"
    edges: Counter[Row] = Counter(
        connection.execute("SELECT position, source, relation, target, gone FROM edges")
    )
    merges = Counter(position for (position,) in connection.execute("SELECT position FROM merges"))
    for row in connection.execute("SELECT position, type, payload, key FROM puts"):
        put = put_in(row)
        if put is None:
            yield f"the put at position {row[0]} is not the one that was written"
        elif isinstance(put, EdgePut):
            edges[row[0], put.source, put.relation, put.target, int(put.delete)] -= 1
        elif isinstance(put, Merge):
            merges[row[0]] -= 1
    if any(edges.values()) or any(merges.values()):
        yield "edges or merges are not those of their puts"
    yield from _wrong_slates(connection)


def _wrong_slates(connection: sqlite3.Connection) -> Iterator[str]:
    counts = Counter({(item, day): n for item, day, n in connection.execute("SELECT * FROM shown")})
    for request_id, user, time, payload in connection.execute(
        "SELECT request_id, user, time, payload FROM exposures"
    ):
        if is_exposure((request_id, user, time, payload)):
            counts.subtract(shown([exposure_of(payload)]))
        else:
            yield f"the exposure of request {request_id!r} is not the one that was written"
    if any(counts.values()):
        yield "the counts of shown items are not those of the slates"
