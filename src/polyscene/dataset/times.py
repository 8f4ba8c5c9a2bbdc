"""From any column of times to UTC milliseconds, or the finding that it tells an order but no clock."""

from dataclasses import dataclass

import polars as pl

from polyscene.core.clock import SECOND_MS
from polyscene.core.errors import DataError

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
    ``ns``, ``text``, ``datetime``, or ``position``, which alone has no clock. `corrected`: rows whose
    number was in another unit than most.
    """

    ms: pl.Series
    unit: str
    corrected: int = 0

    @property
    def clock(self) -> bool:
        """Whether these are times of day and not positions."""
        return self.unit != "position"


def read_times(raw: pl.Series, where: str) -> Times:
    """Times from a column of numbers, texts, dates or datetimes.

    The unit of a number is certain from its size: each unit has its own range between 1990 and 2100. A
    number in another unit than most is corrected. Where no number can be a time and most are whole, from
    0 up, they are positions; what is none is null.

    Raises:
        DataError: The column holds neither; `where` names file and column.
    """
    kind = raw.dtype
    if kind == pl.Date or isinstance(kind, pl.Datetime):
        return Times(_of_datetime(raw), "datetime")
    if kind == pl.String:
        numbers = raw.str.strip_chars().cast(pl.Float64, strict=False)
        texts = _of_text(raw)
        if texts.is_not_null().sum() > numbers.is_not_null().sum():
            return Times(texts, "text")
        whole = raw.str.strip_chars().cast(pl.Int64, strict=False)
        raw = whole if whole.null_count() == numbers.null_count() else numbers
    elif not kind.is_numeric():
        raise DataError(f"{where}: holds {kind}, which is no time; map another column: --map time=COLUMN")
    return _of_numbers(raw, where)


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


def _of_numbers(raw: pl.Series, where: str) -> Times:
    numbers = (
        raw.cast(pl.Float64).to_frame("n")
        if raw.dtype.is_float()
        else raw.cast(pl.Int64, strict=False).to_frame("n")
    )
    n = pl.col("n")
    if raw.dtype.is_float():
        n = pl.when(n.is_finite()).then(n)
    inside = {u: n.is_between(EARLIEST * per, HORIZON * per, closed="left") for u, per in UNITS.items()}
    place = n.is_between(0, EARLIEST / SECOND_MS, closed="left") & (n == n.round())
    facts = numbers.select(
        n.count().alias("present"),
        n.min().alias("low"),
        n.max().alias("high"),
        place.sum().alias("places"),
        *(mask.sum().alias(unit) for unit, mask in inside.items()),
    ).row(0, named=True)
    unit = max(UNITS, key=lambda name: facts[name])
    dated = sum(facts[name] for name in UNITS)
    if dated * 2 > facts["present"]:
        ms = pl.coalesce(*(pl.when(inside[u]).then(_to_ms(n, u)) for u in UNITS), _to_ms(n, unit))
        return Times(numbers.select(ms).to_series(), unit, int(dated - facts[unit]))
    if not dated and facts["places"] * 2 > facts["present"]:
        return Times(numbers.select(pl.when(place).then(n).cast(pl.Int64)).to_series(), "position")
    raise DataError(
        f"{where}: its values run from {facts['low']} to {facts['high']}; expected seconds, ms, us or ns "
        "since 1970 that fall after 1990, ISO 8601 texts, or positions from 0 up. Map another column "
        "(--map time=COLUMN), or none (--map time=) to take the order of the file"
    )


def _to_ms(n: pl.Expr, unit: str) -> pl.Expr:
    """Milliseconds; seconds too large for that in int64 become null, and so count as unreadable."""
    if unit == "s":
        return (pl.when(n.abs() < 2**53).then(n) * SECOND_MS).round().cast(pl.Int64, strict=False)
    return (n // int(UNITS[unit])).cast(pl.Int64, strict=False)
