"""From any column of times to UTC milliseconds, or the finding that it tells an order but no clock."""

from dataclasses import dataclass
from typing import Literal

import msgspec
import polars as pl

from polyscene.core.clock import SECOND_MS
from polyscene.core.errors import DataError
from polyscene.dataset.dates import ORDERS, Order, is_digits, of_digits, of_written

EARLIEST = 631_152_000 * SECOND_MS
"""1990-01-01: before the first recommender; what is dated earlier is a fault."""
HORIZON = 4_102_444_800 * SECOND_MS
"""2100-01-01: the upper end of what a number can be meant to say, for telling units apart."""
UNITS = {"s": 0.001, "ms": 1, "us": 1_000, "ns": 1_000_000}
"""Units and how many of them are a millisecond. Between 1990 and 2100 their numbers don't overlap."""
_ISO = r"^\s*(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}:\d{2})(:\d{2}(?:\.\d+)?)?\s*(Z|[+-]\d{2}:?\d{2})?)?\s*$"


@dataclass(frozen=True, slots=True)
class Times:
    """A time column understood.

    `ms`: int64, null where the source had nothing or nothing readable. `unit`: ``s``, ``ms``, ``us``,
    ``ns``, ``text`` (ISO 8601), ``day first``, ``month first``, ``digits`` (20241231), ``datetime``, or
    ``position``, which alone has no clock. `corrected`: rows whose
    number was in another unit than most.
    """

    ms: pl.Series
    unit: str
    corrected: int = 0

    @property
    def clock(self) -> bool:
        """Whether these are times of day and not positions."""
        return self.unit != "position"


Reading = Literal["datetime", "text", "day first", "month first", "whole", "number"]


class TimeForm(msgspec.Struct, frozen=True):
    """How a whole column of times is to be read: as what, and in which unit (see `Times`)."""

    reading: Reading
    unit: str

    def read(self, raw: pl.Series) -> pl.Series:
        """UTC ms (positions where there is no clock) of a piece of the column, null where it has none."""
        if self.reading == "datetime":
            return _of_datetime(raw)
        if self.reading == "text":
            return _of_text(raw)
        if self.reading == "day first" or self.reading == "month first":
            return of_written(raw, self.reading)
        numbers = _wholes(raw) if self.reading == "whole" else _finite(_numbers(raw))
        n = pl.col("n")
        if self.unit == "position":
            ms = pl.when(_is_place(n)).then(n).cast(pl.Int64)
        elif self.unit == "digits":
            ms = of_digits(n)
        else:
            units = (pl.when(_is_time(n, unit)).then(_to_ms(n, unit)) for unit in UNITS)
            ms = pl.coalesce(*units, _to_ms(n, self.unit))
        return numbers.to_frame("n").select(ms).to_series()


class TimeFacts(msgspec.Struct, frozen=True):
    """What a piece of a column of times tells about how to read it; facts of pieces add up.

    `texts` (ISO), `day_first`, `month_first`, `numbers`, `wholes`: values that can be read as each;
    `either`: that mean another day when the month comes first. Of the numbers: `present` finite ones,
    `places` that can be positions, `digits` that read as dates (20241231), `inside` per unit those that
    can be times; `low` and `high` of all.
    """

    datetimes: bool = False
    texts: int = 0
    day_first: int = 0
    month_first: int = 0
    either: int = 0
    numbers: int = 0
    wholes: int = 0
    present: int = 0
    places: int = 0
    digits: int = 0
    low: int | float | None = None
    high: int | float | None = None
    inside: dict[str, int] = msgspec.field(default_factory=lambda: dict.fromkeys(UNITS, 0))

    def __add__(self, other: "TimeFacts") -> "TimeFacts":
        lows = [each.low for each in (self, other) if each.low is not None]
        highs = [each.high for each in (self, other) if each.high is not None]
        return TimeFacts(
            datetimes=self.datetimes or other.datetimes,
            texts=self.texts + other.texts,
            day_first=self.day_first + other.day_first,
            month_first=self.month_first + other.month_first,
            either=self.either + other.either,
            numbers=self.numbers + other.numbers,
            wholes=self.wholes + other.wholes,
            present=self.present + other.present,
            places=self.places + other.places,
            digits=self.digits + other.digits,
            low=min(lows, default=None),
            high=max(highs, default=None),
            inside={unit: self.inside[unit] + other.inside[unit] for unit in UNITS},
        )

    def form(self, where: str) -> TimeForm:
        """How to read the column that these are all the facts of.

        Raises:
            DataError: Most of it is no time; `where` names file and column.
        """
        if self.datetimes:
            return TimeForm("datetime", "datetime")
        if max(self.day_first, self.month_first) > max(self.texts, self.numbers):
            order = self._order(where)
            return TimeForm(order, order)
        if self.texts > self.numbers:
            return TimeForm("text", "text")
        reading: Literal["whole", "number"] = "whole" if self.wholes == self.numbers else "number"
        dated = sum(self.inside.values())
        if dated * 2 > self.present:
            return TimeForm(reading, max(UNITS, key=lambda unit: self.inside[unit]))
        if not dated and self.digits > 0.99 * self.present:
            return TimeForm(reading, "digits")
        if not dated and self.places * 2 > self.present:
            return TimeForm(reading, "position")
        raise DataError(
            f"{where}: its values run from {self.low} to {self.high}; expected seconds, ms, us or ns "
            "since 1970 that fall after 1990, dates as text (2024-12-31 08:15), or positions from 0 up. "
            "Map another column (--map time=COLUMN), or none (--map time=) to take the order of the file"
        )

    def _order(self, where: str) -> Order:
        if self.day_first == self.month_first and self.either:
            raise DataError(
                f"{where}: dates such as 03/04/2024 may be day first or month first, and no value tells; "
                "write them as 2024-04-03, or map another column: --map time=COLUMN"
            )
        return "day first" if self.day_first >= self.month_first else "month first"

    def corrected(self, form: TimeForm) -> int:
        """Rows whose number is in another unit than most."""
        return sum(self.inside.values()) - self.inside[form.unit] if form.unit in UNITS else 0


def read_times(raw: pl.Series, where: str) -> Times:
    """Times from a column of numbers, texts, dates or datetimes.

    The unit of a number is certain from its size: each unit has its own range between 1990 and 2100. A
    number in another unit than most is corrected. Where no number can be a time and most are whole, from
    0 up, they are positions; what is none is null.

    Raises:
        DataError: The column holds neither; `where` names file and column.
    """
    facts = survey_times(raw, where)
    form = facts.form(where)
    return Times(form.read(raw), form.unit, facts.corrected(form))


def survey_times(raw: pl.Series, where: str) -> TimeFacts:
    """The facts of a column of times or of a piece of it.

    Raises:
        DataError: Its type can't be a time; `where` names file and column.
    """
    kind = raw.dtype
    if kind == pl.Date or isinstance(kind, pl.Datetime):
        return TimeFacts(datetimes=True)
    if kind == pl.String:
        wholes = _wholes(raw)
        if wholes.null_count() == raw.null_count():
            return _count(wholes, wholes=len(wholes) - wholes.null_count())
        numbers = _numbers(raw)
        found = len(numbers) - numbers.null_count()
        whole = len(wholes) - wholes.null_count()
        texts = _of_text(raw)
        counted = _count(wholes if whole == found else _finite(numbers), numbers=found, wholes=whole)
        return counted + _written(raw) + TimeFacts(texts=len(texts) - texts.null_count())
    if not kind.is_numeric():
        raise DataError(f"{where}: holds {kind}, which is no time; map another column: --map time=COLUMN")
    if kind.is_float():
        return _count(_finite(_numbers(raw)), numbers=len(raw) - raw.null_count(), wholes=0)
    return _count(_wholes(raw), wholes=len(raw) - raw.null_count())


def _written(raw: pl.Series) -> TimeFacts:
    """How many values are dates as people write them, and how many mean two days."""
    found = {order: of_written(raw, order) for order in ORDERS}
    days, months = found["day first"], found["month first"]
    return TimeFacts(
        day_first=len(days) - days.null_count(),
        month_first=len(months) - months.null_count(),
        either=int((days != months).fill_null(value=False).sum()),
    )


def order_of(rows: pl.Series) -> Times:
    """The order of the file as positions: for tables without any time."""
    return Times(rows.cast(pl.Int64), "position")


def _of_datetime(raw: pl.Series) -> pl.Series:
    return raw.cast(pl.Datetime("ms", getattr(raw.dtype, "time_zone", None))).dt.epoch("ms")


def _of_text(raw: pl.Series) -> pl.Series:
    parts = raw.str.extract_groups(_ISO).struct
    date, minutes, seconds, zone = (parts.field(name) for name in parts.fields)
    zone = pl.select(
        pl.when(zone.is_null() | (zone == "Z")).then(pl.lit("+0000")).otherwise(zone.str.replace(":", ""))
    ).to_series()
    text = date + " " + minutes.fill_null("00:00") + seconds.fill_null(":00") + zone
    return text.str.to_datetime("%Y-%m-%d %H:%M:%S%.f%z", time_unit="ms", strict=False).dt.epoch("ms")


def _wholes(raw: pl.Series) -> pl.Series:
    texts = raw.str.strip_chars() if raw.dtype == pl.String else raw
    return texts.cast(pl.Int64, strict=False)


def _numbers(raw: pl.Series) -> pl.Series:
    texts = raw.str.strip_chars() if raw.dtype == pl.String else raw
    return texts.cast(pl.Float64, strict=False)


def _finite(numbers: pl.Series) -> pl.Series:
    n = pl.col("n")
    return numbers.to_frame("n").select(pl.when(n.is_finite()).then(n)).to_series()


def _is_time(n: pl.Expr, unit: str) -> pl.Expr:
    return n.is_between(EARLIEST * UNITS[unit], HORIZON * UNITS[unit], closed="left")


def _is_place(n: pl.Expr) -> pl.Expr:
    return n.is_between(0, EARLIEST / SECOND_MS, closed="left") & (n == n.round())


def _count(values: pl.Series, *, wholes: int, numbers: int | None = None) -> TimeFacts:
    n = pl.col("n")
    facts = (
        values.to_frame("n")
        .select(
            n.count().alias("present"),
            n.min().alias("low"),
            n.max().alias("high"),
            _is_place(n).sum().alias("places"),
            is_digits(n).sum().alias("digits"),
            *(_is_time(n, unit).sum().alias(unit) for unit in UNITS),
        )
        .row(0, named=True)
    )
    inside = {unit: facts.pop(unit) for unit in UNITS}
    return TimeFacts(numbers=wholes if numbers is None else numbers, wholes=wholes, inside=inside, **facts)


def _to_ms(n: pl.Expr, unit: str) -> pl.Expr:
    """Milliseconds; seconds too large for that in int64 become null, and so count as unreadable."""
    if unit == "s":
        return (pl.when(n.abs() < 2**53).then(n) * SECOND_MS).round().cast(pl.Int64, strict=False)
    return (n // int(UNITS[unit])).cast(pl.Int64, strict=False)
