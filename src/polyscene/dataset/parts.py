"""Several files as one table: months of events, or one file per action."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import polars as pl

from polyscene.dataset.readers import ROW, Raw, collect, scan
from polyscene.dataset.sources import stem

FILE = "@file"
"""Column that a table of several files has besides its own: each row's file name without ending."""
PART = 1 << 40
"""Rows of part p are numbered from p times this on, so that a number tells file and row."""


def scan_all(paths: Sequence[Path]) -> Raw:
    """The table in one or several files; columns that a file lacks are empty there. Raises as `scan`."""
    raws = [scan(path) for path in paths]
    return raws[0] if len(raws) == 1 else join(raws, [stem(path) for path in paths])


def join(raws: Sequence[Raw], names: Sequence[str]) -> Raw:
    """Raw tables as one, with a column `FILE` that tells each row's name."""
    parts = tuple(_named(raw, name) for raw, name in zip(raws, names, strict=True))
    return Raw(
        label=f"{raws[0].label} and {len(raws) - 1} more",
        frame=pl.LazyFrame(),
        columns=tuple(dict.fromkeys(column for part in parts for column in part.columns)),
        kinds={column: kind for raw in raws for column, kind in raw.kinds.items()},
        notes=tuple(f"{Path(raw.label).name}: {note}" for raw in raws for note in raw.notes),
        parts=parts,
    )


def _named(raw: Raw, name: str) -> Raw:
    slow = raw.slow
    return replace(
        raw,
        frame=raw.frame.with_columns(pl.lit(name).alias(FILE)),
        columns=(*raw.columns, FILE),
        slow=None if slow is None else lambda: _named(slow(), name),
    )


def collect_all(raw: Raw, columns: list[str]) -> tuple[pl.DataFrame, Raw]:
    """As `readers.collect`, over all parts. Raises as it does."""
    if not raw.parts:
        return collect(raw, columns)
    frames, parts = [], []
    for place, part in enumerate(raw.parts):
        frame, again = collect(part, [column for column in columns if column in part.columns])
        frames.append(frame.with_columns(pl.col(ROW).cast(pl.Int64) + place * PART))
        parts.append(again)
    broken = tuple(each for part in parts for each in part.broken)
    return stacked(frames), replace(raw, parts=tuple(parts), broken=broken)


def stacked(frames: list[pl.DataFrame]) -> pl.DataFrame:
    """The frames below each other; a column of several types becomes text."""
    types: dict[str, set[pl.DataType]] = {}
    for frame in frames:
        for name, kind in frame.schema.items():
            types.setdefault(name, set()).add(kind)
    mixed = {
        name for name, kinds in types.items() if len(kinds) > 1 and not all(k.is_numeric() for k in kinds)
    }
    texts = [
        frame.with_columns(pl.col(name).cast(pl.String) for name in mixed & set(frame.columns))
        for frame in frames
    ]
    return pl.concat(texts, how="diagonal_relaxed")
