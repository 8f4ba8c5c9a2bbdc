"""Dates as people and spreadsheets write them: 31.12.2024, 12/31/2024 5:03 PM, 2024/12/31, 20241231."""

from typing import Literal

import polars as pl

Order = Literal["day first", "month first"]
ORDERS: tuple[Order, ...] = ("day first", "month first")
_DATE = (
    r"^\s*(\d{1,4})([./-])(\d{1,2})[./-](\d{1,4})"
    r"(?:[T,]?\s*(\d{1,2}):(\d{2})(?::(\d{2})(?:\.\d+)?)?\s*([AaPp][Mm])?)?\s*$"
)
_DIGITS = (19_900_101, 20_991_231)


def of_written(raw: pl.Series, order: Order) -> pl.Series:
    """UTC ms of written dates; null where it is none. A year first tells itself, points mean day first."""
    parts = raw.str.extract_groups(_DATE).struct.unnest()
    parts.columns = ["a", "mark", "b", "c", "hour", "minute", "second", "half"]
    number = {name: pl.col(name).cast(pl.Int32, strict=False) for name in parts.columns}
    year_first = pl.col("a").str.len_chars() == 4
    day_first = (pl.col("mark") == ".") | (order == "day first")
    year = pl.when(year_first).then(number["a"]).otherwise(number["c"])
    month = pl.when(year_first | day_first).then(number["b"]).otherwise(number["a"])
    day = pl.when(year_first).then(number["c"]).when(day_first).then(number["a"]).otherwise(number["b"])
    afternoon = pl.col("half").str.to_lowercase() == "pm"
    midnight = (pl.col("half").str.to_lowercase() == "am") & (number["hour"] == 12)
    hour = number["hour"].fill_null(0) + pl.when(afternoon & (number["hour"] < 12)).then(12).otherwise(0)
    hour = pl.when(midnight).then(0).otherwise(hour)
    clock = hour.cast(pl.Int64) * 3600 + number["minute"].fill_null(0) * 60 + number["second"].fill_null(0)
    right = year.is_between(1970, 2100) & month.is_between(1, 12) & day.is_between(1, 31) & (hour < 24)
    text = pl.format("{}-{}-{}", year, month, day).str.to_date("%Y-%m-%d", strict=False)
    days = text.cast(pl.Datetime("ms")).dt.epoch("ms")
    return parts.select(pl.when(right).then(days + clock * 1000)).to_series()


def is_digits(n: pl.Expr) -> pl.Expr:
    """Whether a whole number reads as a date, such as 20241231."""
    month, day = n // 100 % 100, n % 100
    return n.is_between(*_DIGITS) & month.is_between(1, 12) & day.is_between(1, 31) & (n == n.round())


def of_digits(n: pl.Expr) -> pl.Expr:
    """UTC ms of a number such as 20241231; null where it is no date."""
    text = pl.when(is_digits(n)).then(n).cast(pl.Int64).cast(pl.String)
    return text.str.to_date("%Y%m%d", strict=False).cast(pl.Datetime("ms")).dt.epoch("ms")
