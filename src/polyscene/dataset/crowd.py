"""Cleaning that must see many rows at once: machines, copies and repeats, k-core."""

from typing import Literal

import polars as pl

from polyscene.core.clock import DAY_MS
from polyscene.dataset.ledger import Ledger
from polyscene.dataset.readers import ROW


def drop_bots(events: pl.DataFrame, per_day: int, ledger: Ledger) -> pl.DataFrame:
    """Without all events of users who did more than `per_day` things on one UTC day."""
    totals = events.group_by("user").len()
    if (totals["len"].max() or 0) <= per_day:  # type: ignore[operator]
        return events
    day = (pl.col("time") // DAY_MS).alias("day")
    days = events.group_by("user", day).len().filter(pl.col("len") > per_day)
    machines = days["user"].unique()
    rows = events.filter(pl.col("user").is_in(machines.implode()))[ROW]
    return ledger.drop_rows(events, rows, f"user did more than {per_day} things in a day")


def drop_copies(
    events: pl.DataFrame, repeats: Literal["all", "first", "last"], near_ms: int, ledger: Ledger
) -> pl.DataFrame:
    """Without exact copies, near copies and repeats of a user and item; the order of rows stays.

    An exact copy agrees in all fields; where times are file positions no two rows do. A near copy comes
    less than `near_ms` after another event of the same user, item and action. Ties in time go to the
    earlier raw row.
    """
    pair = pl.col("user").to_physical().cast(pl.UInt64) * 2**32 + pl.col("item").to_physical()
    doubled = events.filter(pair.is_duplicated())
    if not len(doubled):
        return events
    doubled = doubled.with_columns(pair.alias("pair")).sort("time", ROW)
    gone: dict[str, pl.Series] = {}

    def take(cause: str, bad: pl.Expr) -> None:
        nonlocal doubled
        gone[cause] = doubled.filter(bad)[ROW]
        doubled = doubled.filter(~bad)

    take(
        "exact copy of an earlier row",
        ~pl.struct("pair", "action", "value", "time", "scenario").is_first_distinct(),
    )
    if near_ms:
        since = pl.col("time") - pl.col("time").shift(1).over("pair", "action")
        take(f"same act again within {near_ms} ms", (since < near_ms).fill_null(value=False))
    if repeats == "first":
        take("repeat of an earlier event on the same item", ~pl.col("pair").is_first_distinct())
    elif repeats == "last":
        take("repeated by a later event on the same item", ~pl.col("pair").is_last_distinct())
    else:
        again = (~doubled["pair"].is_first_distinct()).sum()
        ledger.notice("repeat of an earlier event on the same item", int(again))
    for cause, rows in gone.items():
        events = ledger.drop_rows(events, rows, cause)
    return events


def drop_rare(events: pl.DataFrame, min_user: int, min_item: int, ledger: Ledger) -> pl.DataFrame:
    """The k-core: every user has `min_user` events and every item `min_item`; repeated until both hold."""
    while True:
        before = len(events)
        for name, least in (("user", min_user), ("item", min_item)):
            if least > 1:
                counts = events.group_by(name).len().filter(pl.col("len") < least)
                rows = events.filter(pl.col(name).is_in(counts[name].implode()))[ROW]
                events = ledger.drop_rows(events, rows, f"{name} has fewer than {least} events")
        if len(events) == before:
            return events
