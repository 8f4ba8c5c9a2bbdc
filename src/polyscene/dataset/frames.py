"""Raw tables from frames in memory: Polars as it is, pandas column by column, without needing pandas."""

from typing import Any, TypeAlias

import numpy as np
import polars as pl

from polyscene.core.errors import DataError
from polyscene.dataset.readers import Raw, raw_of

Frame: TypeAlias = Any
"""A Polars DataFrame or LazyFrame, or a pandas DataFrame."""


def raw_frame(label: str, frame: Frame) -> Raw:
    """A frame as a raw table; `label` names it in errors.

    Raises:
        DataError: It is no frame.
    """
    if isinstance(frame, pl.LazyFrame):
        return raw_of(label, frame)
    if isinstance(frame, pl.DataFrame):
        return raw_of(label, frame.lazy())
    if hasattr(frame, "columns") and hasattr(frame, "iloc"):
        return raw_of(label, pl.DataFrame(_pandas_columns(label, frame)).lazy())
    raise DataError(f"{label}: got {type(frame).__name__}, expected a Polars or pandas DataFrame")


def _pandas_columns(label: str, frame: Any) -> list[pl.Series]:
    names = [str(name) for name in frame.columns]
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        raise DataError(f"{label}: column {doubled[0]!r} is there twice; give each column its own name")
    return [_series(name, frame.iloc[:, place]) for place, name in enumerate(names)]


def _series(name: str, column: Any) -> pl.Series:
    if getattr(column.dtype, "tz", None) is not None:
        column = column.dt.tz_convert("UTC").dt.tz_localize(None)
    if isinstance(column.dtype, np.dtype) and column.dtype.kind in "biufM":
        return pl.Series(name, column.to_numpy(), nan_to_null=True)
    values = [
        value if there else None for value, there in zip(column.tolist(), column.notna(), strict=True)
    ]
    return pl.Series(name, values, strict=False)
