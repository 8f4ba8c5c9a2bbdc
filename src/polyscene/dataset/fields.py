"""Columns of any table as what a classifier reads: words, numbers or nothing, each with its reason."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import polars as pl

from polyscene.core.arrays import Array
from polyscene.core.errors import DataError, nearest
from polyscene.dataset.infer.profile import Profile, profile
from polyscene.dataset.schema import fold
from polyscene.dataset.times import read_times
from polyscene.dataset.values import read_numbers

Role = Literal["words", "number", "log", "time", "left out"]
ROLES: tuple[Role, ...] = ("words", "number", "log", "time", "left out")
PEOPLE_AND_THINGS = ("user", "item")
"""Names of columns whose whole numbers are ids."""
FEW = 20
"""Distinct whole numbers up to which they are taken as names of classes."""
SKEWED = 20.0
"""How much larger than the median the largest of some amounts must be for their logarithm to be read."""


@dataclass(frozen=True, slots=True)
class Field:
    """How a column is read, and why so."""

    name: str
    role: Role
    why: str


def fields_of(frame: pl.DataFrame, told: Mapping[str, str]) -> list[Field]:
    """How each column is best read; `told` settles it for some.

    Raises:
        DataError: `told` names a column or a role that there is not.
    """
    for name, role in told.items():
        if name not in frame.columns:
            raise DataError(f"column {name!r} is not in the file{nearest(name, frame.columns)}")
        if role not in ROLES:
            raise DataError(f"column {name!r}: {role!r} is no role{nearest(role, ROLES)}")
    found = []
    for name in frame.columns:
        wanted = next((role for role in ROLES if role == told.get(name)), None)
        found.append(Field(name, wanted, "as told") if wanted else _proposed(profile(frame[name])))
    return found


def read_field(raw: pl.Series, field: Field, where: str) -> Any:
    """(N,) the values as converters want them: float64 with NaN, or texts with None.

    Raises:
        DataError: The column holds what can't be read so; `where` names the file.
    """
    told = f"{where}, column {field.name!r}"
    if field.role == "words":
        if raw.dtype.is_nested():
            raise DataError(f"{told}: holds {raw.dtype}; expected single values. Leave it out")
        whole = raw.dtype.is_float() and bool((raw.cast(pl.Int64, strict=False) == raw).all())
        texts = (raw.cast(pl.Int64, strict=False) if whole else raw).cast(pl.String).str.strip_chars()
        return texts.to_list()
    if field.role == "time":
        return _floats(read_times(raw, told).ms)
    return _floats(read_numbers(raw, field.name, told))


def _floats(column: pl.Series) -> Array:
    values: Array = column.cast(pl.Float64).fill_null(float("nan")).to_numpy()
    return np.asarray(values, np.float64)


def _proposed(column: Profile) -> Field:
    refusal = _refusal(column)
    if refusal:
        return Field(column.name, "left out", refusal)
    if column.kind in ("text", "truth") and not column.clock:
        return Field(column.name, "words", f"{column.distinct:,} words")
    name = fold(column.name)
    if column.kind == "whole" and (name.endswith("id") or name in PEOPLE_AND_THINGS):
        return Field(column.name, "words", "ids by name")
    if column.clock or column.kind == "date":
        return Field(column.name, "time", "dates and times")
    if column.kind == "whole" and column.distinct <= FEW:
        return Field(column.name, "words", f"{column.distinct} whole numbers")
    return _amount(column)


def _amount(column: Profile) -> Field:
    median = column.values.cast(pl.Float64, strict=False).median()
    middle = float(median) if isinstance(median, int | float) else 0.0
    if column.low >= 0 and middle > 0 and column.high > SKEWED * middle:
        return Field(column.name, "log", f"amounts up to {column.high:g}, median {middle:g}")
    return Field(column.name, "number", f"numbers from {column.low:g} to {column.high:g}")


def _refusal(column: Profile) -> str:
    """Why a column can't help; empty if it can."""
    if column.kind == "list":
        return "lists"
    if column.constant:
        return "one value throughout" if column.distinct else "empty"
    if column.prose:
        return "prose"
    if column.unique and column.ids and column.distinct > FEW:
        return "a value of its own in every row"
    return ""
