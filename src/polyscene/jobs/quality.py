"""The quality of data, of a source before it is ingested or of a workspace's live log."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import polars as pl

from polyscene.core.clock import SystemClock, show_time
from polyscene.core.contracts import Progress, bars, silent
from polyscene.core.errors import DataError
from polyscene.dataset.clean import CleaningRules
from polyscene.dataset.quality import books, cells, clock, crowd, ids, texts, volume
from polyscene.dataset.quality.finding import Finding, Findings, Quality
from polyscene.dataset.reading import Reading
from polyscene.dataset.tables import CleaningReport, TableReport, Tables
from polyscene.events.event import ItemPut, UserPut
from polyscene.events.log import LogReader
from polyscene.jobs.infer import load_or_propose
from polyscene.jobs.workspace import Workspace

AS_IT_IS = Reading()
REPORTING = CleaningRules(near_ms=0)
"""A report cleans as gently as can be, so that it can tell of what cleaning would hide."""
_ORDER = ("bad", "warn", "note")
QUARANTINED = 200_000
"""Lines of quarantine files that are counted."""


def quality(
    source: str | Workspace, progress: Progress = silent, *, reading: Reading = AS_IT_IS
) -> Quality:
    """The quality of a source as it would be ingested, or of all that a workspace's log holds.

    Raises:
        DataError: The source can't be read or mapped, or the log has no events.
    """
    if isinstance(source, Workspace):
        tables, quarantine = _of_workspace(source), str(source.root / "quarantine")
    else:
        tables, quarantine = load_or_propose(source, reading, base=REPORTING, infer=True), None
    columns = cells.column_facts(tables)
    looks: dict[str, Callable[[], Findings]] = {
        "books": lambda: books.look_at_books(tables.report.tables, quarantine),
        "volume": lambda: volume.look_at_volume(tables),
        "clock": lambda: clock.look_at_clock(tables),
        "crowd": lambda: crowd.look_at_crowd(tables),
        "ids": lambda: ids.look_at_ids(tables),
        "cells": lambda: cells.look_at_cells(tables, columns),
    }
    findings: list[Finding] = []
    with bars(progress, "look", looks.values(), len(looks)) as walk:
        for look in walk:
            findings += look()
    languages = texts.languages(tables)
    findings += texts.look_at_texts(tables, languages)
    return Quality(
        source=tables.name,
        made=SystemClock().now(),
        facts=tuple(_facts(tables)),
        findings=tuple(sorted(findings, key=lambda each: (_ORDER.index(each.severity), -each.share))),
        plots=volume.plots(tables),
        columns=columns,
        languages=languages,
        notes=tables.report.notes,
    )


def _facts(tables: Tables) -> Iterator[tuple[str, str]]:
    events = tables.events
    yield "events", f"{len(events):,}"
    yield "users", f"{events['user'].n_unique():,}"
    yield "items touched", f"{events['item'].n_unique():,}"
    if tables.items is not None:
        yield "items known", f"{len(tables.items):,}"
    if tables.edges is not None:
        yield "edges", f"{len(tables.edges):,}"
    if tables.clock:
        times = events["time"].sort()
        yield "first event", show_time(times[0])[:10]
        yield "last event", show_time(times[-1])[:10]


def _of_workspace(workspace: Workspace) -> Tables:
    with closing(workspace.reader()) as log:
        events = _events(log)
        if not len(events):
            raise DataError(f"{workspace.root}: the log has no events; fill it with `polyscene ingest`")
        items, users = _entities(log)
    return Tables(
        name=workspace.root.resolve().name,
        events=events,
        items=items,
        users=users,
        clock=int(events["time"].median() or 0) > 10**10,  # type: ignore[arg-type]
        report=CleaningReport(_quarantined(workspace.root / "quarantine", len(events))),
    )


def _events(log: LogReader) -> pl.DataFrame:
    columns = log.columns()

    def named(codes: Any, names: list[str]) -> pl.Series:
        return pl.Series(names, dtype=pl.String).gather(codes)

    return pl.DataFrame(
        {
            "user": named(columns.user, log.user_ids()),
            "item": named(columns.item, log.item_ids()),
            "action": named(columns.action, log.action_names()),
            "value": pl.Series(columns.value, dtype=pl.Float32),
            "time": pl.Series(columns.time, dtype=pl.Int64),
            "scenario": named(columns.scenario, log.scenario_names()),
            "row": pl.Series(columns.position, dtype=pl.Int64),
        }
    )


def _entities(log: LogReader) -> tuple[pl.DataFrame | None, pl.DataFrame | None]:
    """Items and users as the last puts leave them."""
    items: dict[str, dict[str, Any]] = {}
    for _, put in log.item_puts():
        _absorb(items, put)
        if isinstance(put, ItemPut) and put.delete:
            items.pop(put.id, None)
    users: dict[str, dict[str, Any]] = {}
    since = 0
    while records := log.read(since):
        since = records[-1][0]
        for _, record in records:
            if isinstance(record, UserPut):
                _absorb(users, record)
    return _frame("item", items), _frame("user", users)


def _absorb(known: dict[str, dict[str, Any]], put: ItemPut | UserPut) -> None:
    old = known.get(put.id, {}) if put.patch else {}
    known[put.id] = {**old, **put.attributes}


def _frame(key: str, rows: dict[str, dict[str, Any]]) -> pl.DataFrame | None:
    if not rows:
        return None
    names = dict.fromkeys(name for row in rows.values() for name in row if name != key)
    columns = {key: list(rows)} | {name: [row.get(name) for row in rows.values()] for name in names}
    return pl.DataFrame([pl.Series(name, values, strict=False) for name, values in columns.items()])


def _quarantined(folder: Path, events: int) -> dict[str, TableReport]:
    """What earlier ingests took out, by table and cause."""
    counts: dict[str, Counter[str]] = {}
    left = QUARANTINED
    for path in sorted(folder.glob("*.jsonl")) if folder.is_dir() else ():
        with path.open("rb") as stream:
            for line in stream:
                left -= 1
                if left < 0:
                    break
                row = msgspec.json.decode(line, type=_Refused)
                counts.setdefault(row.table, Counter())[row.cause] += 1
    return {
        table: TableReport(str(folder), events + sum(causes.values()), events, dict(causes))
        for table, causes in counts.items()
    }


class _Refused(msgspec.Struct):
    table: str
    cause: str
