"""Files into the log: clean, append, tell what became of every row."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from polyscene.core.contracts import Progress
from polyscene.core.seeds import mix, seed_of
from polyscene.dataset.frames import Frame, raw_frame
from polyscene.dataset.load import clean_tables
from polyscene.dataset.prepare.prepared import (
    event_pieces,
    is_prepared,
    open_prepared,
    open_small,
    read_manifest,
)
from polyscene.dataset.reading import Reading
from polyscene.dataset.schema import TableName
from polyscene.dataset.tables import TableReport, Tables
from polyscene.events.event import EdgePut, ItemPut, Posted, UserPut, Value
from polyscene.events.log import Bulk, EventLog
from polyscene.jobs.infer import load_or_propose
from polyscene.jobs.workspace import Workspace

CHUNK = 100_000
PUTS = 2_000


@dataclass(frozen=True, slots=True)
class IngestReport:
    """What an ingest did; `duplicates` were in the log before, so nothing was added for them."""

    source: str
    accepted: int
    duplicates: int
    position: int
    tables: Mapping[str, TableReport]
    notes: tuple[str, ...]
    quarantine: str | None

    def rows(self) -> Iterator[tuple[str, object]]:
        """The report as lines of a table: what, how many."""
        for name, table in self.tables.items():
            yield f"{name}: rows read", table.rows_in
            for verb, counts in (
                ("removed", table.removed),
                ("mended", table.changed),
                ("odd", table.noticed),
            ):
                for reason, count in counts.items():
                    yield f"{name}: {verb}, {reason}", count
        yield "log: added", self.accepted
        yield "log: there before", self.duplicates
        if any(table.removed for table in self.tables.values()):
            yield "removed rows are in", self.quarantine


def ingest(
    workspace: Workspace,
    source: str,
    reading: Reading | Mapping[str, str],
    progress: Progress,
    *,
    infer: bool = False,
) -> IngestReport:
    """Cleans a folder, a file, a known data set or standard input (``-``) and appends it to the log.

    A prepared folder is clean already, and is appended piece by piece whatever its size.

    A row is known by its content, so a source may be ingested again after it grew. `reading`: which files
    and columns are what, and the cleaning rules; a plain mapping goes too. With `infer` a proposal is
    followed where names alone don't tell, and the notes say which.

    Raises:
        DataError: The source can't be read or mapped (the text holds a proposal); the log is as it was.
        StoreError: The disk refused; ingest again to complete.
    """
    reading = reading if isinstance(reading, Reading) else Reading(reading)
    if is_prepared(source):
        return _append_folder(workspace, Path(source), progress)
    place = workspace.quarantine(_file_name("stdin" if source == "-" else source))
    tables = load_or_propose(source, reading, infer=infer, quarantine=place)
    return _append(workspace, source, tables, progress)


def ingest_frames(
    workspace: Workspace, frames: Mapping[TableName, Frame], reading: Reading, progress: Progress
) -> IngestReport:
    """As `ingest`, from pandas or Polars frames by table; there must be one of events."""
    tables = clean_tables(
        "frames",
        {table: raw_frame(f"{table} frame", frame) for table, frame in frames.items()},
        mapping=reading.mapping,
        rules=reading.cleaning(),
        quarantine=workspace.quarantine("frames"),
    )
    return _append(workspace, "frames", tables, progress)


def _file_name(source: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "-_" else "-" for letter in source)[-80:]


def _append_folder(workspace: Workspace, folder: Path, progress: Progress) -> IngestReport:
    manifest = read_manifest(folder)
    with workspace.log() as log:
        accepted, duplicates = append_prepared(log, folder, progress)
        position = log.position
    return IngestReport(
        source=str(folder),
        accepted=accepted,
        duplicates=duplicates,
        position=position,
        tables=manifest.tables,
        notes=manifest.notes,
        quarantine=None,
    )


def _append(workspace: Workspace, source: str, tables: Tables, progress: Progress) -> IngestReport:
    with workspace.log() as log:
        accepted, duplicates = append_tables(log, tables, progress)
        position = log.position
    report = tables.report
    return IngestReport(
        source=source,
        accepted=accepted,
        duplicates=duplicates,
        position=position,
        tables=report.tables,
        notes=report.notes,
        quarantine=str(report.quarantine) if report.quarantine else None,
    )


@dataclass(frozen=True, slots=True)
class _Flow:
    """What is to be appended: the small tables, when each item was first touched, and pieces of events."""

    small: Tables
    first: Mapping[str, int]
    start: int
    events: Iterable[pl.DataFrame]
    count: int


def append_tables(log: EventLog, tables: Tables, progress: Progress) -> tuple[int, int]:
    """Appends clean tables to a log; gives how many records were new and how many were known."""
    events = tables.events
    first = dict(events.group_by("item").agg(pl.col("time").min()).iter_rows()) if len(events) else {}
    start = min(first.values(), default=0)
    return _pour(log, _Flow(tables, first, start, events.iter_slices(CHUNK), len(events)), progress)


def append_prepared(log: EventLog, folder: Path, progress: Progress) -> tuple[int, int]:
    """As `append_tables`, from a prepared folder, of which only a piece is in memory at a time."""
    encoded = open_prepared(folder)
    histories = encoded.data.histories
    small, first = open_small(folder)
    pieces = event_pieces(encoded, CHUNK)
    start = min(first.values(), default=0)
    return _pour(log, _Flow(small, first, start, pieces, len(histories["item"])), progress)


def _pour(log: EventLog, flow: _Flow, progress: Progress) -> tuple[int, int]:
    accepted = duplicates = 0
    small, start = flow.small, flow.start
    puts: list[Posted] = [
        *_item_puts(small, flow.first, start),
        *_user_puts(small, start),
        *_edge_puts(small, start),
    ]
    total = -(-len(puts) // PUTS) + -(-flow.count // CHUNK)
    with progress("ingest", total) as bar:
        receipts = chain(
            (log.append(puts[at : at + PUTS]) for at in range(0, len(puts), PUTS)),
            (log.append_columns(_bulk(piece, content_keys(piece))) for piece in flow.events),
        )
        for receipt in receipts:
            accepted += receipt.accepted
            duplicates += receipt.duplicates
            bar.advance()
    return accepted, duplicates


def content_keys(events: pl.DataFrame) -> np.ndarray[Any, np.dtype[np.int64]]:
    """(n,) 63-bit keys of what each event says; equal on every machine and for every file it comes in."""
    key = np.zeros(len(events), np.uint64)
    for column in ("user", "item", "action", "scenario"):
        distinct = events[column].unique()
        hashes = pl.Series([seed_of(text) for text in distinct], dtype=pl.UInt64)
        key = mix(key, events[column].replace_strict(distinct, hashes, return_dtype=pl.UInt64).to_numpy())
    key = mix(key, events["time"].to_numpy())
    key = mix(key, events["value"].to_numpy().astype(np.float32).view(np.uint32))
    return (key >> np.uint64(1)).astype(np.int64)


def _bulk(events: pl.DataFrame, keys: np.ndarray[Any, np.dtype[np.int64]]) -> Bulk:
    return Bulk(
        source="file",
        rows=keys.tolist(),
        users=events["user"].to_list(),
        items=events["item"].to_list(),
        actions=events["action"].to_list(),
        scenarios=events["scenario"].to_list(),
        times=events["time"].to_list(),
        values=events["value"].to_list(),
    )


def _item_puts(tables: Tables, first: Mapping[str, int], start: int) -> Iterator[ItemPut]:
    """An item without a time of its own counts as put when it was first touched, else at the start."""
    if tables.items is None:
        return
    for row in tables.items.iter_rows(named=True):
        item, kind, when = row.pop("item"), row.pop("kind"), row.pop("time", None)
        yield ItemPut(
            id=item,
            kind=kind,
            time=first.get(item, start) if when is None else when,
            attributes=_attributes(row),
        )


def _user_puts(tables: Tables, start: int) -> Iterator[UserPut]:
    if tables.users is None:
        return
    for row in tables.users.iter_rows(named=True):
        yield UserPut(id=row.pop("user"), time=start, attributes=_attributes(row))


def _edge_puts(tables: Tables, start: int) -> Iterator[EdgePut]:
    if tables.edges is not None:
        for row in tables.edges.iter_rows(named=True):
            yield EdgePut(**row, time=start)


def _attributes(row: Mapping[str, Any]) -> dict[str, Value]:
    return {name: value for name, value in row.items() if value is not None and value != []}
