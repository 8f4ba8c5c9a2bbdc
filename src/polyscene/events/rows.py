"""Records to table rows and back."""

import sqlite3
import zlib
from collections import Counter
from collections.abc import Iterable
from typing import Any

import msgspec

from polyscene.core.clock import DAY_MS
from polyscene.events.event import EdgePut, Erasure, Event, Exposure, ItemPut, Merge, Put, UserPut, key_of
from polyscene.events.names import CodeBook, Family, NameLists

EVENT_COLUMNS = "position, id, user, item, action, scenario, time, value, extra"
Row = tuple[Any, ...]

ITEM_PUT, USER_PUT, ERASURE, EDGE_PUT, MERGE = 1, 2, 3, 4, 5
"""Types of rows in the table of puts; the numbers are stored."""
_TYPES: dict[int, type[Put] | type[Erasure]] = {
    ITEM_PUT: ItemPut,
    USER_PUT: UserPut,
    ERASURE: Erasure,
    EDGE_PUT: EdgePut,
    MERGE: Merge,
}
NO_CODE = -1
"""Stands for the code of an edge, whose ends need not be users or items."""


class _Extra(msgspec.Struct, frozen=True, array_like=True, omit_defaults=True):
    request_id: str | None = None
    position: int | None = None
    attributes: dict[str, Any] = {}


_NO_EXTRA = _Extra()
_EXTRAS = msgspec.msgpack.Decoder(_Extra)
_EXPOSURES = msgspec.msgpack.Decoder(Exposure)


def event_row(event: Event, book: CodeBook) -> Row:
    """The row of a new event; takes the next position."""
    book.position += 1
    extra = _Extra(event.request_id, event.position, event.attributes)
    return (
        book.position,
        event.id,
        book.code(Family.USER, event.user),
        book.code(Family.ITEM, event.item),
        book.code(Family.ACTION, event.action),
        book.code(Family.SCENARIO, event.scenario),
        event.time,
        float(event.value),
        None if extra == _NO_EXTRA else msgspec.msgpack.encode(extra),
    )


def says(row: Row, event: Event, book: CodeBook) -> bool:
    """Whether the row of an event says the same as `event`."""
    extra = _EXTRAS.decode(row[8]) if row[8] is not None else _NO_EXTRA
    codes = (
        book.known(Family.USER, event.user),
        book.known(Family.ITEM, event.item),
        book.known(Family.ACTION, event.action),
        book.known(Family.SCENARIO, event.scenario),
    )
    return row[1:8] == (event.id, *codes, event.time, event.value) and extra == _Extra(
        event.request_id, event.position, event.attributes
    )


def event_of(row: Row, names: NameLists, connection: Any) -> Event:
    """The event in a row of `EVENT_COLUMNS`."""
    extra = _EXTRAS.decode(row[8]) if row[8] is not None else _NO_EXTRA
    return Event(
        id=row[1],
        user=names.name(connection, Family.USER, row[2]),
        item=names.name(connection, Family.ITEM, row[3]),
        action=names.name(connection, Family.ACTION, row[4]),
        scenario=names.name(connection, Family.SCENARIO, row[5]),
        time=row[6],
        value=row[7],
        request_id=extra.request_id,
        position=extra.position,
        attributes=extra.attributes,
    )


def put_row(put: Put | Erasure, book: CodeBook) -> Row:
    """The row of a new put, merge or erasure; takes the next position."""
    book.position += 1
    match put:
        case ItemPut():
            kind, code, key = ITEM_PUT, book.code(Family.ITEM, put.id), key_of(put)
            book.code(Family.KIND, put.kind)
        case UserPut():
            kind, code, key = USER_PUT, book.code(Family.USER, put.id), key_of(put)
        case EdgePut():
            kind, code, key = EDGE_PUT, NO_CODE, key_of(put)
        case Merge():
            kind, code, key = MERGE, book.code(Family.USER, put.source), key_of(put)
            book.code(Family.USER, put.target)
        case Erasure():
            kind, code, key = ERASURE, put.user_code, b"erased %d" % put.user_code
    return book.position, kind, code, key, msgspec.msgpack.encode(put)


def put_of(row: Row) -> Put | Erasure:
    """The put, merge or erasure in a row of position, type, payload."""
    return msgspec.msgpack.decode(row[2], type=_TYPES[row[1]])


def exposure_row(exposure: Exposure) -> Row:
    """The row of an exposure; the payload is compressed, since traces repeat themselves."""
    payload = zlib.compress(msgspec.msgpack.encode(exposure), 1)
    return exposure.request_id, exposure.user, exposure.time, payload


def exposure_of(payload: bytes) -> Exposure:
    """The exposure in a payload."""
    return _EXPOSURES.decode(zlib.decompress(payload))


def shown(exposures: Iterable[Exposure]) -> Counter[tuple[str, int]]:
    """How often each item stood in slates, by item and UTC day in ms."""
    return Counter(
        (item, exposure.time // DAY_MS * DAY_MS) for exposure in exposures for item in exposure.items
    )


def count_shown(connection: sqlite3.Connection, exposures: Iterable[Exposure], sign: int) -> None:
    """Counts each item of the slates on the day they were shown, or with `sign` -1 no longer."""
    connection.executemany(
        "INSERT INTO shown (item, day, count) VALUES (?, ?, ?) "
        "ON CONFLICT DO UPDATE SET count = count + excluded.count",
        [(item, day, sign * count) for (item, day), count in shown(exposures).items()],
    )


def slate_filter(
    user: str | None, after: tuple[int, str] | None, column: str, mark: str
) -> tuple[str, tuple[object, ...]]:
    """The condition for exposures of a user behind a place, and the facts for its `mark` places."""
    parts: list[str] = []
    facts: list[object] = []
    if user is not None:
        parts.append(f"{column} = {mark}")
        facts.append(user)
    if after is not None:
        parts.append(f"(time < {mark} OR (time = {mark} AND request_id > {mark}))")
        facts += [after[0], after[0], after[1]]
    return (f" WHERE {' AND '.join(parts)}" if parts else ""), tuple(facts)
