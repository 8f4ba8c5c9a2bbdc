"""How much there is, when, of whom and of what: the series behind the plots."""

import math

import numpy as np
import polars as pl

from polyscene.core.clock import DAY_MS, show_time
from polyscene.dataset.quality.finding import Finding, Findings, Plot, of, share
from polyscene.dataset.tables import Tables

MOST_COLUMNS = 60
CURVE_POINTS = 101
SPANS = ((1, "day"), (7, "week"), (30, "30 days"), (91, "quarter"), (365, "year"))
EMPTY_DAYS = 3
"""So many days without any event are a gap where days usually have many."""
JUMP = 10
"""A day with so many times the usual events (the median, or half of what a busy day has) is a jump."""


def plots(tables: Tables) -> tuple[Plot, ...]:
    """Events over time, by hour, per user, and the long tail of items."""
    events = tables.events
    found = [*_over_time(events), _by_hour(events)] if tables.clock else []
    return (*found, _per_user(events), _tail(events))


def _over_time(events: pl.DataFrame) -> list[Plot]:
    days = events["time"] // DAY_MS
    ends = days.sort()
    first, last = int(ends[0]), int(ends[-1])
    width, name = next((each for each in SPANS if (last - first) / each[0] < MOST_COLUMNS), SPANS[-1])
    width = max(width, math.ceil((last - first + 1) / MOST_COLUMNS))
    counts = np.bincount(((days - first) // width).to_numpy())
    labels = tuple(show_time((first + at * width) * DAY_MS)[:10] for at in range(len(counts)))
    hint = f"Events per {name if (width, name) in SPANS else f'{width} days'}, UTC."
    return [Plot("volume", "columns", "Volume over time", hint, "from", labels, _floats(counts))]


def _by_hour(events: pl.DataFrame) -> Plot:
    counts = np.bincount((events["time"] // 3_600_000 % 24).to_numpy(), minlength=24)
    hint = "Events by hour of the day, UTC: people sleep; one tall column means days without hours."
    labels = tuple(str(hour) for hour in range(24))
    return Plot("hours", "columns", "Hours of the day", hint, "hour, UTC", labels, _floats(counts))


def _per_user(events: pl.DataFrame) -> Plot:
    counts = events.group_by("user").len()["len"].to_numpy()
    edges = 2 ** np.arange(0, 1 + int(math.log2(max(1, counts.max(initial=1)))))
    users = np.bincount(np.searchsorted(edges, counts, side="right") - 1, minlength=len(edges))
    labels = tuple(str(edge) if edge < 2 else f"{edge}–{2 * edge - 1}" for edge in edges.tolist())
    hint = "Users by how many events they have: the left ones are nearly strangers to every model."
    return Plot("per_user", "columns", "Events per user", hint, "events", labels, _floats(users))


def _tail(events: pl.DataFrame) -> Plot:
    counts = np.sort(events.group_by("item").len()["len"].to_numpy())[::-1]
    total = np.concatenate([[0], np.cumsum(counts)]) / max(1, counts.sum())
    spots = np.linspace(0, len(counts), CURVE_POINTS).astype(np.int64)
    hint = "Share of events that falls on the most touched items; the steeper, the fewer items matter."
    xs = _floats(spots / max(1, len(counts)))
    return Plot(
        "tail",
        "curve",
        "Long tail",
        hint,
        "share of items, most touched first",
        (),
        _floats(total[spots]),
        xs,
    )


def _floats(values: np.ndarray) -> tuple[float, ...]:
    return tuple(float(value) for value in values)


def look_at_volume(tables: Tables) -> Findings:
    """Gaps, jumps, and a few early events far before all others."""
    if not tables.clock or len(tables.events) < 50:
        return
    days = (tables.events["time"] // DAY_MS).value_counts().sort("time")
    at, counts = days["time"].to_numpy(), days["count"].to_numpy()
    median = float(np.median(counts))
    yield from _gaps(at, counts, median)
    yield from _jumps(at, counts, median)


def _gaps(at: np.ndarray, counts: np.ndarray, median: float) -> Findings:
    steps = np.diff(at)
    usual = max(EMPTY_DAYS, 3 * float(np.quantile(steps, 0.95)) if len(steps) else 0)
    long = np.flatnonzero(steps > usual)
    if not len(long):
        return
    widest = long[np.argmax(steps[long])]
    before = float(counts[: widest + 1].sum() / counts.sum())
    if before < 0.001:
        yield Finding(
            "warn", "clock", "A few events lie long before all others",
            f"{int(counts[: widest + 1].sum()):,} events end {int(steps[widest]):,} days before "
            "the rest begins",
            "a wrong clock stretches every span: recency weights and time splits go wrong",
            f"--rule earliest={int(at[widest + 1]) * DAY_MS} leaves them out",
            int(counts[: widest + 1].sum()), before,
        )  # fmt: skip
        return
    spans = ", ".join(f"{_day(at[gap])} to {_day(at[gap + 1])}" for gap in long[:3])
    yield Finding(
        "warn" if median >= 5 else "note", "gaps", "Days without any event",
        f"{len(long):,} gaps of more than {usual:.0f} days: {spans}{' ...' if len(long) > 3 else ''}",
        "what happened then is missing from histories; trends before and after don't join",
        "load the missing days; a split by time (--protocol time) should not cut inside a gap",
        len(long), share(int(steps[long].sum()), int(at[-1] - at[0])),
    )  # fmt: skip


def _jumps(at: np.ndarray, counts: np.ndarray, median: float) -> Findings:
    usual = max(median, float(np.quantile(counts, 0.9)) / 2, 1.0)
    tall = np.flatnonzero((counts > JUMP * usual) & (counts > 100))
    if not len(tall):
        return
    top = tall[np.argmax(counts[tall])]
    yield Finding(
        "warn", "gaps", "Days with many times the usual volume",
        f"{len(tall):,} above {JUMP} times the usual {usual:,.0f}; most on {_day(at[top])}: "
        f"{of(int(counts[top]), int(counts.sum()), 'events')}",
        "a bulk import or a machine: its date is the load's, not the act's, and popularity of "
        "then is false",
        "look at that day; if it is a load, bring the events with their own times",
        int(counts[tall].sum()), share(int(counts[tall].sum()), int(counts.sum())),
    )  # fmt: skip


def _day(day: int) -> str:
    return show_time(int(day) * DAY_MS)[:10]
