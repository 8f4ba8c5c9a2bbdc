"""What the values of a column look like: the half of inference that needs no names."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import polars as pl

from polyscene.core.errors import DataError
from polyscene.dataset.parts import FILE, collect_all
from polyscene.dataset.readers import ROW, Raw
from polyscene.dataset.times import read_times

LIMIT = 2_000_000
"""Rows of a file that are looked at."""
Kind = Literal["whole", "number", "text", "list", "truth", "date", "empty"]


@dataclass(frozen=True)
class Profile:
    """One column: how its values are made.

    `distinct` counts present values. `missing` is a share. `low`, `high`: of numbers, else NaN. `length`:
    mean characters. `spaced`: share of values with a space in them. `runs`: neighbouring rows with unequal
    values, per row; near 0 in a column that the file is sorted by. `time`: unit if these are times or
    positions (see `times.Times`), else empty.
    """

    name: str
    kind: Kind
    rows: int
    distinct: int
    missing: float
    low: float
    high: float
    length: float
    spaced: float
    runs: float
    climbs: bool
    time: str
    values: pl.Series

    @property
    def unique(self) -> bool:
        """Whether every row that has a value has one of its own."""
        present = self.rows * (1 - self.missing)
        return self.missing < 0.2 and present > 1 and self.distinct >= 0.995 * present

    @property
    def clock(self) -> bool:
        """Whether these are times of day."""
        return self.time not in ("", "position")

    @property
    def constant(self) -> bool:
        """Whether there is one value at most."""
        return self.distinct <= 1

    @property
    def ids(self) -> bool:
        """Whether the values could be ids: whole numbers or short texts, more than a few."""
        short = self.kind == "text" and self.length <= 48
        return (self.kind == "whole" or short) and not self.clock and self.distinct > 1

    @property
    def prose(self) -> bool:
        """Whether the values read as titles or texts."""
        return (
            self.kind == "text"
            and self.spaced > 0.4
            and self.distinct > 0.5 * self.rows * (1 - self.missing)
        )

    @cached_property
    def texts(self) -> pl.Series:
        """The distinct values as ids are read: numbers by their digits."""
        return self.values.cast(pl.String).str.strip_chars()

    def within(self, other: "Profile") -> float:
        """Share of this column's distinct values that the other column has too."""
        return _number(self.texts.is_in(other.texts.implode()).mean()) if self.distinct else 0.0


def profiles(raw: Raw) -> dict[str, Profile]:
    """Every column of a table by name; rows beyond `LIMIT` are not looked at. Raises as `scan` does."""
    head = replace(raw, frame=raw.frame.head(LIMIT)) if not raw.parts else raw
    frame, _ = collect_all(head, [name for name in raw.columns if name != FILE])
    return {name: profile(frame[name]) for name in frame.columns if name != ROW}


def profile(raw: pl.Series) -> Profile:
    """What one column looks like."""
    kind, typed = _typed(raw)
    rows = len(raw)
    missing = typed.null_count() / rows if rows else 1.0
    values = typed.drop_nulls() if kind != "list" else typed.head(0)
    numbers = (
        values.cast(pl.Float64) if kind in ("whole", "number", "truth") else pl.Series([], dtype=pl.Float64)
    )
    texts = values if kind == "text" else pl.Series([], dtype=pl.String)
    distinct = values.unique()
    return Profile(
        name=raw.name,
        kind=kind,
        rows=rows,
        distinct=len(distinct),
        missing=missing,
        low=_number(numbers.min()),
        high=_number(numbers.max()),
        length=_number(texts.str.len_chars().mean()) if len(texts) else 0.0,
        spaced=_number(texts.str.contains(r"\S\s+\S").mean()) if len(texts) else 0.0,
        runs=_number((values != values.shift(1)).mean()) if len(values) > 1 else 1.0,
        climbs=kind == "whole" and _climbs(values),
        time=_time(raw, kind),
        values=distinct,
    )


def _typed(raw: pl.Series) -> tuple[Kind, pl.Series]:
    kind = raw.dtype
    plain: dict[Kind, bool] = {
        "list": isinstance(kind, pl.List | pl.Array | pl.Struct),
        "truth": kind == pl.Boolean,
        "date": kind.is_temporal(),
        "whole": kind.is_integer(),
        "empty": kind == pl.Null,
    }
    for name, fits in plain.items():
        if fits:
            return name, raw
    if kind.is_float():
        finite = raw.fill_nan(None)
        whole = finite.drop_nulls().round().eq(finite.drop_nulls()).all()
        return ("whole", finite.cast(pl.Int64, strict=False)) if whole else ("number", finite)
    return _typed_text(raw.cast(pl.String).str.strip_chars())


def _typed_text(texts: pl.Series) -> tuple[Kind, pl.Series]:
    texts = (
        texts.to_frame("t")
        .select(pl.when(pl.col("t") != "").then(pl.col("t")).alias(texts.name))
        .to_series()
    )
    there = texts.len() - texts.null_count()
    if not there:
        return "empty", texts
    numbers = texts.str.replace(r"^([-+]?\d+),(\d+)$", "$1.$2").cast(pl.Float64, strict=False)
    if there - (numbers.len() - numbers.null_count()) > 0.01 * there:
        return "text", texts
    if texts.str.contains(r"^0\d").any():
        return "text", texts  # leading zeros: names, as zip codes and ISBNs are
    whole = numbers.cast(pl.Int64, strict=False)
    return ("whole", whole) if (whole == numbers).all() else ("number", numbers)


def _climbs(values: pl.Series) -> bool:
    if values.n_unique() < 4:
        return False  # yes and no, or three grades, climb by chance
    step = values.diff()
    start = values == values.min()
    good = ((step == 0) | (step == 1) | start).mean()
    again = (start & (step != 0)).sum()
    return _number(good) > 0.9 and int(again) > 1 and values.min() in (0, 1)


def _time(raw: pl.Series, kind: Kind) -> str:
    if kind in ("list", "truth", "empty"):
        return ""
    try:
        times = read_times(raw, raw.name)
    except DataError:
        return ""
    readable = times.ms.len() - times.ms.null_count()
    return times.unit if readable >= 0.9 * (raw.len() - raw.null_count()) and readable else ""


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else float("nan")
