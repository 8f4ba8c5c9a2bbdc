"""The log as Parquet files: for notebooks, warehouses, and for `polyscene ingest` elsewhere."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import polars as pl

from polyscene.artifacts.files import new_folder, refused, sync_folder
from polyscene.core.errors import StoreError
from polyscene.events.event import Attributes, Event, ItemPut, Merge, UserPut, Value
from polyscene.events.log import LogReader

ROWS = 200_000
"""Rows of one file; the next ones go into another file of the table."""
BATCH = 20_000
_TEXT, _INT, _FLOAT, _BOOL = pl.String, pl.Int64, pl.Float64, pl.Boolean
SCHEMAS: Mapping[str, Mapping[str, Any]] = {
    "events": {
        "log_position": _INT,
        "id": _TEXT,
        "user": _TEXT,
        "item": _TEXT,
        "action": _TEXT,
        "value": _FLOAT,
        "time": _INT,
        "scenario": _TEXT,
        "request_id": _TEXT,
        "place": _INT,
        "attributes": _TEXT,
    },
    "puts": {
        "log_position": _INT,
        "type": _TEXT,
        "id": _TEXT,
        "time": _INT,
        "kind": _TEXT,
        "delete": _BOOL,
        "patch": _BOOL,
        "attributes": _TEXT,
    },
    "edges": {"source": _TEXT, "relation": _TEXT, "target": _TEXT, "weight": _FLOAT, "time": _INT},
    "merges": {"log_position": _INT, "source": _TEXT, "target": _TEXT, "time": _INT},
    "exposures": {
        "request_id": _TEXT,
        "scenario": _TEXT,
        "bundle": _TEXT,
        "user": _TEXT,
        "time": _INT,
        "log_position": _INT,
        "place": _INT,
        "item": _TEXT,
        "score": _FLOAT,
        "propensity": _FLOAT,
    },
}
"""Columns of the tables that are the same in every log; `time` is UTC ms, or a position without a clock."""


@dataclass(slots=True)
class _Thing:
    """What is known now of an item or user."""

    id: str
    time: int
    kind: str = ""
    active: bool = True
    attributes: Attributes = field(default_factory=dict)

    def absorb(self, put: ItemPut | UserPut) -> None:
        self.time = min(self.time, put.time)
        self.active = not (isinstance(put, ItemPut) and put.delete)
        if not self.active:
            return
        if put.patch:
            merged = self.attributes | put.attributes
            self.attributes = {name: value for name, value in merged.items() if value is not None}
        else:
            self.attributes = dict(put.attributes)
            self.kind = put.kind if isinstance(put, ItemPut) else self.kind


class _Tables:
    """Rows on their way into numbered files of at most `ROWS` rows."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._rows: dict[str, list[tuple[Any, ...]]] = {}
        self._parts: Counter[str] = Counter()
        self.written: Counter[str] = Counter()

    def add(self, table: str, row: tuple[Any, ...]) -> None:
        rows = self._rows.setdefault(table, [])
        rows.append(row)
        if len(rows) >= ROWS:
            self._write(table, pl.DataFrame(rows, SCHEMAS[table], orient="row"))
            rows.clear()

    def finish(self) -> None:
        for table, rows in self._rows.items():
            if rows:
                self._write(table, pl.DataFrame(rows, SCHEMAS[table], orient="row"))

    def things(self, table: str, head: Mapping[str, str], things: Mapping[str, _Thing]) -> None:
        """Writes items or users, a column an attribute; `head`: column -> field of a thing."""
        known = [thing for thing in things.values() if thing.active]
        types = _types(known)
        for start in range(0, len(known), ROWS):
            part = known[start : start + ROWS]
            columns = {
                name: pl.Series([getattr(thing, what) for thing in part]) for name, what in head.items()
            }
            for name, type_ in types.items():
                own = f"attribute_{name}" if name in head else name
                columns[own] = _column([thing.attributes.get(name) for thing in part], type_)
            self._write(table, pl.DataFrame(columns))

    def _write(self, table: str, frame: pl.DataFrame) -> None:
        frame.write_parquet(self._folder / f"{table}-{self._parts[table]:05}.parquet")
        self._parts[table] += 1
        self.written[table] += len(frame)


@dataclass(frozen=True, slots=True)
class Exported:
    """What an export wrote: the position of the log that it stands for, and rows by table."""

    folder: Path
    position: int
    rows: Mapping[str, int]


def export_log(log: LogReader, folder: Path) -> Exported:
    """The records up to now as Parquet files in a new folder, in bounded memory.

    ``events-*`` (all interactions), ``items-*`` and ``users-*`` (what is known now, a column an attribute),
    ``edges-*`` (that hold now), ``puts-*`` and ``merges-*`` (how it came about), ``exposures-*`` (a row a
    place, newest slate first). `polyscene ingest FOLDER` reads the first four back.

    Raises:
        StoreError: Something is at `folder`, the log can't be read, or the disk refused.
    """
    if folder.exists():
        raise StoreError(f"{folder}: there is something already; give the name of a new folder")
    with refused(folder, "export"), new_folder(folder.parent) as beside:
        tables = _Tables(beside)
        position = _records(log, tables)
        _edges(log, tables)
        _exposures(log, tables)
        tables.finish()
        for table, rows in tables.written.items():
            found = pl.scan_parquet(beside / f"{table}-*.parquet").select(pl.len()).collect().item()
            if found != rows:
                raise StoreError(f"{folder}: {table}: {found:,} of {rows:,} rows can be read; export again")
        beside.rename(folder)
        sync_folder(folder.parent)
    return Exported(folder, position, dict(tables.written))


def _records(log: LogReader, tables: _Tables) -> int:
    """Writes the records there are now; gives the position of the last one."""
    items: dict[str, _Thing] = {}
    users: dict[str, _Thing] = {}
    position, last = 0, log.position
    while records := [pair for pair in log.read(position, BATCH) if pair[0] <= last]:
        for position, record in records:
            match record:
                case Event():
                    tables.add("events", _event(position, record))
                case ItemPut() | UserPut():
                    tables.add("puts", _put(position, record))
                    things = items if isinstance(record, ItemPut) else users
                    things.setdefault(record.id, _Thing(record.id, record.time)).absorb(record)
                case Merge():
                    tables.add("merges", (position, record.source, record.target, record.time))
    tables.things("items", {"item": "id", "kind": "kind", "time": "time"}, items)
    tables.things("users", {"user": "id"}, users)
    return last


def _edges(log: LogReader, tables: _Tables) -> None:
    after = None
    while edges := log.edges(after=after, n=BATCH):
        for edge in edges:
            tables.add("edges", (edge.source, edge.relation, edge.target, edge.weight, edge.time))
        after = (edges[-1].source, edges[-1].relation, edges[-1].target)


def _exposures(log: LogReader, tables: _Tables) -> None:
    after = None
    while exposures := log.exposures(after=after, n=BATCH // 20):
        for shown in exposures:
            head = (
                shown.request_id,
                shown.scenario,
                shown.bundle,
                shown.user,
                shown.time,
                shown.log_position,
            )
            places = zip(shown.items, shown.scores, shown.propensities, strict=True)
            for place, facts in enumerate(places):
                tables.add("exposures", (*head, place, *facts))
        after = (exposures[-1].time, exposures[-1].request_id)


def _event(position: int, event: Event) -> tuple[Any, ...]:
    return (
        *(position, event.id, event.user, event.item, event.action, float(event.value), event.time),
        *(
            event.scenario,
            event.request_id,
            event.position,
            _json(event.attributes) if event.attributes else None,
        ),
    )


def _put(position: int, put: ItemPut | UserPut) -> tuple[Any, ...]:
    what, kind, delete = (
        ("item", put.kind, put.delete) if isinstance(put, ItemPut) else ("user", None, False)
    )
    return position, what, put.id, put.time, kind, delete, put.patch, _json(put.attributes)


def _types(things: Sequence[_Thing]) -> dict[str, Any]:
    """The column type of every attribute; None for one that comes in several, written as JSON text."""
    met: dict[str, set[type]] = {}
    for thing in things:
        for name, value in thing.attributes.items():
            if value is not None:
                met.setdefault(name, set()).add(type(value))
    plain = {bool: pl.Boolean, int: pl.Int64, float: pl.Float64, str: pl.String, list: pl.List(pl.String)}
    return {
        name: plain[next(iter(types))] if len(types) == 1 else pl.Float64 if types == {int, float} else None
        for name, types in sorted(met.items())
    }


def _column(values: Sequence[Value], type_: Any) -> pl.Series:
    if type_ is None:
        return pl.Series([None if value is None else _json(value) for value in values], dtype=pl.String)
    return pl.Series(values, dtype=type_, strict=False)


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
