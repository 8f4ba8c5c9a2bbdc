"""What happened to every candidate of one request, as JSON data."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from polyscene.core.arrays import Array, Codes
from polyscene.core.queries import Queries
from polyscene.core.slates import Slates
from polyscene.retrieve.step import Record
from polyscene.scenario.ask import Ids
from polyscene.scenario.run import Pipeline, Result

CUT = "cut"
"""The reason of candidates that were good but below the last place."""


def trace_of(pipeline: Pipeline, queries: Queries, result: Result, ids: Ids) -> dict[str, Any]:
    """The trace of one query (B = 1) that ran with ``keep=True``; `rows` reads it candidate by candidate.

    What the rules forbid and what is excluded never becomes a candidate: retrieval leaves it out, so the
    trace only counts it. Candidates stand column by column, because that is small and quick to write:
    ``place`` (None: not shown), ``dropped`` (the stage that dropped it, ``"cut"`` below the last place,
    ``""`` if shown), ``rank:<source>``, ``score:<source>`` and ``after:<stage>`` for stages that score.
    """
    records = result.watch.records
    stages = [
        {"name": r.name, "before": r.before, "after": r.after, "ms": round(r.ms, 3), "skipped": r.skipped}
        for r in records.values()
    ]
    kept = [records[part.name] for part in pipeline.parts if part.name in records]
    return {
        "scenario": pipeline.name,
        "history": int(queries.history.lengths[0]),
        "allowed": int(queries.allowed.of(0).sum()),
        "excluded": len(queries.exclude[0]),
        "stages": stages,
        "candidates": _candidates(kept, result.slates, ids),
    }


def rows(trace: dict[str, Any]) -> list[dict[str, Any]]:
    """The candidates of a trace one by one, shown ones first; columns without a value are left out."""
    columns: dict[str, list[Any]] = trace["candidates"]
    found = [
        {name: value for name, value in zip(columns, values, strict=True) if value is not None}
        for values in zip(*columns.values(), strict=True)
    ]
    return sorted(found, key=lambda row: row.get("place", len(found)))


def _candidates(records: list[Record], shown: Slates, ids: Ids) -> dict[str, list[Any]]:
    slates = [record.slates for record in records if record.slates is not None]
    codes = np.unique(np.concatenate([each.items for each in [*slates, shown]]))
    columns: dict[str, list[Any]] = {"item": [ids.id(int(code)) for code in codes]}
    columns["place"] = _column(codes, shown.items, np.arange(len(shown.items)))
    columns["dropped"] = _dropped(codes, records, shown)
    before: Array = np.zeros(0)
    for record, each in zip(records, slates, strict=False):
        for name, values in each.columns.items():
            if name.startswith(("rank:", "score:")) and name not in columns:
                columns[name] = _column(codes, each.items, values)
        if not np.array_equal(before, np.sort(each.scores)):
            columns[f"after:{record.name}"] = _column(codes, each.items, each.scores)
        before = np.sort(each.scores)
    return columns


def _dropped(codes: Codes, records: list[Record], shown: Slates) -> list[str]:
    reason = np.full(len(codes), "", object)
    alive = np.zeros(len(codes), bool)
    for record in records:
        if record.slates is not None:
            there = np.isin(codes, record.slates.items)
            reason[alive & ~there] = record.name
            alive = there
    reason[alive & ~np.isin(codes, shown.items)] = CUT
    found: list[str] = reason.tolist()
    return found


def _column(codes: Codes, items: Codes, values: Array) -> list[Any]:
    """Values of the items beside `codes`; None where an item has none."""
    column: NDArray[np.object_] = np.full(len(codes), None, object)
    there = ~np.isnan(values.astype(np.float64))
    rounded = np.round(values[there].astype(np.float64), 5) if values.dtype.kind == "f" else values[there]
    column[np.searchsorted(codes, items[there])] = rounded
    found: list[Any] = column.tolist()
    return found
