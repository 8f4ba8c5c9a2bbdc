"""Column by column: missing, constant and outlying values."""

import polars as pl

from polyscene.dataset.quality.finding import ColumnFacts, Finding, Findings, graded, of, share
from polyscene.dataset.schema import attribute_type
from polyscene.dataset.tables import Tables

FAR = 10
"""Values so many times the distance between the quartiles away from the median are outliers."""
_KEYS = ("item", "user", "source", "target")


def column_facts(tables: Tables) -> tuple[ColumnFacts, ...]:
    """What every column of every clean table holds."""
    frames = {"events": tables.events, "items": tables.items, "users": tables.users, "edges": tables.edges}
    return tuple(
        _facts(name, column)
        for name, frame in frames.items()
        if frame is not None
        for column in frame
        if column.name != "row"
    )


def _facts(table: str, column: pl.Series) -> ColumnFacts:
    numbers = column.dtype.is_numeric()
    empty = column.null_count()
    if isinstance(column.dtype, pl.List):
        empty += int((column.list.len() == 0).sum())
    if column.dtype == pl.String:
        empty += int((column == "").sum())
    there = column.drop_nulls()
    kind = "id" if column.name in _KEYS else "time" if column.name == "time" else attribute_type(column)
    return ColumnFacts(
        table=table,
        column=column.name,
        type=kind,
        missing=share(empty, len(column)),
        distinct=column.n_unique()
        if not isinstance(column.dtype, pl.List)
        else column.explode().n_unique(),
        low=_number(there.min()) if numbers else None,
        high=_number(there.max()) if numbers else None,
        example=str(there[0] if not isinstance(column.dtype, pl.List) else there[0].to_list())[:80]
        if len(there)
        else "",
    )


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def look_at_cells(tables: Tables, facts: tuple[ColumnFacts, ...]) -> Findings:
    """Attributes that are mostly missing or say nothing, and values far outside the usual range."""
    for each in facts:
        frame = {"items": tables.items, "users": tables.users}.get(each.table)
        if frame is None or each.type in ("id", "time") or each.column == "kind":
            continue
        if each.missing > 0.05:
            yield Finding(
                graded(each.missing, 0.3, 0.95), "missing", f"{each.table}.{each.column} is often missing",
                of(round(each.missing * len(frame)), len(frame), each.table),
                "filters on it hide what lacks it, and models see a hole",
                "fill it, or leave it out of features",
                round(each.missing * len(frame)), each.missing,
            )  # fmt: skip
        elif each.distinct == 1 and len(frame) > 1:
            yield Finding(
                "note", "values", f"{each.table}.{each.column} is always the same", f"always "
                f"{each.example!r}",
                "it tells nothing apart", "leave it out of the export", len(frame), 1.0,
            )  # fmt: skip
        if each.type == "number" and frame[each.column].dtype.is_numeric():
            yield from _outliers(f"{each.table}.{each.column}", frame[each.column].cast(pl.Float64))
    yield from _outliers("events.value", tables.events["value"].cast(pl.Float64))


def _outliers(name: str, values: pl.Series) -> Findings:
    there = values.drop_nulls().drop_nans()
    if len(there) < 50:
        return
    low, middle, high = (_number(there.quantile(q)) or 0.0 for q in (0.25, 0.5, 0.75))
    if high <= low:
        return
    far = there.filter((there - middle).abs() > FAR * (high - low))
    part = share(len(far), len(there))
    if len(far):
        yield Finding(
            graded(part, 0.01, 2.0), "values", f"{name}: values far outside the usual range",
            f"{of(len(far), len(there), 'values')}, from {_number(far.min()):g} to "
            f"{_number(far.max()):g}; half lie "
            f"between {low:g} and {high:g}",
            "a few huge numbers outweigh all others in sums and scaled features",
            "--rule scale=LOW,HIGH cuts values of events; check the unit" if name == "events.value"
            else "check the unit; cap them in the export",
            len(far), part,
        )  # fmt: skip
    negative = int((there < 0).sum())
    if 0 < negative < 0.05 * len(there):
        yield Finding(
            "warn", "values", f"{name}: a few negative values", of(negative, len(there), "values"),
            "returns, or a mark for 'unknown' such as -1, count as numbers",
            "bring returns as an action of their own; "
            "leave unknown values empty", negative, share(negative, len(there)),
        )  # fmt: skip
