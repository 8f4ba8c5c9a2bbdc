"""Cleaning that must see many rows at once: machines, copies and repeats, k-core."""

from typing import Literal

import numpy as np
import polars as pl

from polyscene.core.arrays import Array
from polyscene.core.clock import DAY_MS
from polyscene.dataset.ledger import Ledger
from polyscene.dataset.order import history_order
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
    places, pair = _doubled(events)
    if not len(places):
        return events
    doubled = events[places].with_columns(pair=pl.Series(pair))
    gone: dict[str, pl.Series] = {}

    def take(cause: str, bad: pl.Series) -> None:
        nonlocal doubled
        if bad.any():
            gone[cause] = doubled[ROW].filter(bad)
            doubled = doubled.filter(~bad)

    take("exact copy of an earlier row", _copied(doubled))
    if near_ms:
        take(f"same act again within {near_ms} ms", _near(doubled, near_ms))
    same = doubled["pair"].diff() == 0
    if repeats == "first":
        take("repeat of an earlier event on the same item", same.fill_null(value=False))
    elif repeats == "last":
        take("repeated by a later event on the same item", same.shift(-1).fill_null(value=False))
    else:
        ledger.notice("repeat of an earlier event on the same item", int(same.sum()))
    for cause, rows in gone.items():
        events = ledger.drop_rows(events, rows, cause)
    return events


def _doubled(events: pl.DataFrame) -> tuple[Array, Array]:
    """Places of rows whose user and item come again, by these, then time; and a number for each pair."""
    users, items = (events[name].to_physical().to_numpy().astype(np.int64) for name in ("user", "item"))
    order = history_order(users, items)
    users, items = users[order], items[order]
    again = np.zeros(len(order) + 1, bool)
    again[1:-1] = (users[1:] == users[:-1]) & (items[1:] == items[:-1])
    member = again[1:] | again[:-1]
    pair = np.cumsum(~again[:-1][member])
    places = order[member]
    by_time = history_order(pair, events["time"].to_numpy()[places])
    return places[by_time], pair


def _copied(doubled: pl.DataFrame) -> pl.Series:
    """Which rows agree with an earlier one; only those that share pair and time with a neighbour may."""
    close = (doubled["pair"].diff() == 0) & (doubled["time"].diff() == 0)
    close = (close | close.shift(-1)).fill_null(value=False)
    places = close.arg_true()
    fields = doubled[places].select(
        ~pl.struct("pair", "action", "value", "time", "scenario").is_first_distinct()
    )
    bad = np.zeros(len(doubled), bool)
    bad[places.to_numpy()] = fields.to_series().to_numpy()
    return pl.Series(bad)


def _near(doubled: pl.DataFrame, near_ms: int) -> pl.Series:
    """Which rows come less than `near_ms` after one of the same pair and action."""
    pair, action = (doubled[name].to_physical().to_numpy().astype(np.int64) for name in ("pair", "action"))
    order = history_order(pair, action)
    pair, action, time = pair[order], action[order], doubled["time"].to_numpy()[order]
    bad = np.zeros(len(doubled), bool)
    bad[order[1:]] = (np.diff(pair) == 0) & (np.diff(action) == 0) & (np.diff(time) < near_ms)
    return pl.Series(bad)


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
