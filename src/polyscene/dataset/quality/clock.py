"""What times tell of the clocks that wrote them."""

import polars as pl

from polyscene.core.clock import DAY_MS
from polyscene.dataset.quality.finding import Finding, Findings, graded, of, share
from polyscene.dataset.tables import Tables

HOUR_MS = 3_600_000


def look_at_clock(tables: Tables) -> Findings:
    """No clock, days without hours, many events at one moment, times that go back."""
    events = tables.events
    if not tables.clock:
        yield Finding(
            "note", "clock", "No times, only an order",
            f"{len(events):,} events in the order of the file or of a position",
            "recency, freshness and splits by time can't be used; what follows what still can",
            "map a column of times if there is one: --map time=COLUMN",
            len(events), 1.0,
        )  # fmt: skip
        return
    yield from _midnight(events)
    yield from _one_moment(events)
    yield from _backwards(events)


def _midnight(events: pl.DataFrame) -> Findings:
    count = int((events["time"] % DAY_MS == 0).sum())
    part = share(count, len(events))
    if part > 0.5:
        yield Finding(
            "warn", "clock", "Dates without a time of day", of(count, len(events), "events are "
            "at midnight UTC"),
            "what a user did on one day has no order but the file's, and sessions can't be told apart",
            "export date and time, or a column of positions", count, part,
        )  # fmt: skip


def _one_moment(events: pl.DataFrame) -> Findings:
    top = events["time"].value_counts().sort("count", "time").tail(1).row(0, named=True)
    count, part = int(top["count"]), share(int(top["count"]), len(events))
    if count >= 50 and part > 0.02 and int(top["time"]) % DAY_MS:
        yield Finding(
            "warn", "clock", "Many events at one and the same moment",
            of(count, len(events), "events carry one equal time"),
            "that is the time of a load, not of the acts: they get a wrong place in histories",
            "bring each event with its own time", count, part,
        )  # fmt: skip


def _backwards(events: pl.DataFrame) -> Findings:
    """Late rows, told only where the rows mostly stand in the order of time."""
    times = events.sort("row")["time"] if "row" in events.columns else events["time"]
    late = int((times < times.cum_max() - HOUR_MS).sum())
    part = share(late, len(times))
    if 0 < part < 0.2:
        yield Finding(
            graded(part, warn=0.01, bad=0.5), "clock", "Times that go back",
            of(late, len(times), "events come an hour or more behind a later one"),
            "late events enter a history before what was already answered from; a clock may have "
            "been set back",
            "nothing, if they are late deliveries: histories are by time; else mend the clock", late, part,
        )  # fmt: skip
