"""Cleaning: rules as data, each rule a small function, every removed or corrected row booked by reason."""

from typing import Annotated, Literal

import msgspec
import polars as pl

from polyscene.core.clock import DAY_MS, SystemClock
from polyscene.core.config import Config
from polyscene.dataset.crowd import drop_bots, drop_copies, drop_rare
from polyscene.dataset.ledger import Ledger
from polyscene.dataset.mend import Mend, mend_column
from polyscene.dataset.readers import ROW
from polyscene.dataset.scales import ValuePlan, survey_values, value_notes, value_plan
from polyscene.dataset.times import EARLIEST
from polyscene.dataset.values import id_faults

Count = Annotated[int, msgspec.Meta(ge=1)]


class CleaningRules(Config, frozen=True, kw_only=True, tag="cleaning"):
    """What counts as a fault, and what to do about it. The defaults leave MovieLens 1M whole.

    `repeats`: which of a user's several events on one item stay: ``all``, as carts and songs need, or the
    ``first`` or ``last`` in time, ties by raw row. `near_ms`: events of one
    user, item and action this close together are one; 0 turns it off. `scale`: lowest and highest rating;
    None detects it for columns called rating, stars or overall. `min_value`: events worth less are left
    out, as a rating of 2 is no sign of liking; None keeps all. `earliest`, `latest`: UTC ms; latest None
    is a day from now. `unknown_items`: what to do with events of items that the items table lacks.
    `bot_per_day`: a user with more events on one UTC day is a machine (20,000 is one every 4 seconds,
    all day); None turns it off. `min_user`, `min_item`: k-core, repeated until both hold. `mend_items`,
    `mend_users`: how ids are brought to one form in all tables (see `mend.MENDS`); edges stay as they are.
    """

    repeats: Literal["all", "first", "last"] = "all"
    near_ms: Annotated[int, msgspec.Meta(ge=0)] = 1_000
    scale: tuple[float, float] | None = None
    min_value: float | None = None
    earliest: int = EARLIEST
    latest: int | None = None
    unknown_items: Literal["keep", "drop"] = "keep"
    bot_per_day: Count | None = 20_000
    min_user: Count = 1
    min_item: Count = 1
    mend_items: tuple[Mend, ...] = ()
    mend_users: tuple[Mend, ...] = ()


EVALUATION = CleaningRules(repeats="first", min_user=5)
"""The usual rules of offline evaluation, where what was seen is masked: the first of repeats counts, and
users need five items."""


def clean_events(
    events: pl.DataFrame,
    rules: CleaningRules,
    ledger: Ledger,
    *,
    clock: bool,
    rated: str = "",
    items: pl.Series | None = None,
) -> pl.DataFrame:
    """The events that stay, in raw order; `events` is typed (see `load`) and has a `ROW` column.

    `clock`: whether time is a time of day. `rated`: the source column of the value, which tells whether
    it is a rating. `items`: known item ids, None when there is no items table.
    """
    plan = value_plan(survey_values(events), rated, rules.scale)
    ledger.notes += value_notes(plan, rules.scale)
    events = clean_rows(events, rules, ledger, plan, clock=clock)
    return clean_crowd(match_items(events, items, rules, ledger), rules, ledger, clock=clock)


def clean_rows(
    events: pl.DataFrame, rules: CleaningRules, ledger: Ledger, plan: ValuePlan, *, clock: bool
) -> pl.DataFrame:
    """The events without faults that each row shows by itself; pieces of a table may be cleaned apart."""
    events = mend_column(events, "user", rules.mend_users, ledger)
    events = mend_column(events, "item", rules.mend_items, ledger)
    events = fill_values(events, ledger, plan)
    if plan.rating and plan.scale:
        ledger.notice("rating is 0", int((events["value"] == 0).sum()))
    faults = [
        *id_faults(events, "user"),
        *id_faults(events, "item"),
        *value_faults(),
        *time_faults(rules, clock=clock),
        *scale_faults(plan),
    ]
    if rules.min_value is not None:
        faults.append((f"value is below {rules.min_value:g}", pl.col("value") < rules.min_value))
    return ledger.drop(events, faults)


def clean_crowd(events: pl.DataFrame, rules: CleaningRules, ledger: Ledger, *, clock: bool) -> pl.DataFrame:
    """The events without machines, copies and rare ones; if `min_item` is 1, users may be cleaned apart."""
    if clock and rules.bot_per_day is not None:
        events = drop_bots(events, rules.bot_per_day, ledger)
    near_ms = rules.near_ms if clock else 0
    events = drop_copies(events, rules.repeats, near_ms, ledger)
    return drop_rare(events, rules.min_user, rules.min_item, ledger)


def fill_values(events: pl.DataFrame, ledger: Ledger, plan: ValuePlan) -> pl.DataFrame:
    """An act without a number counts 1 where the source tells several actions apart."""
    missing = events["value"].null_count()
    if not missing or not plan.several:
        return events
    ledger.change("value: missing, set to 1", missing)
    return events.with_columns(pl.col("value").fill_null(1.0))


def value_faults() -> list[tuple[str, pl.Expr]]:
    """Values that are missing or no finite number."""
    value = pl.col("value")
    too_large = value.abs() > 3e38
    return [
        ("value is missing", value.is_null()),
        ("value is not a finite number", value.is_nan() | too_large),
    ]


def time_faults(rules: CleaningRules, *, clock: bool) -> list[tuple[str, pl.Expr]]:
    """Times that are missing, too early or in the future; positions can only be missing."""
    time = pl.col("time")
    faults = [("time is missing or can't be read", time.is_null())]
    if clock:
        latest = rules.latest if rules.latest is not None else SystemClock().now() + DAY_MS
        faults += [
            (f"time is before {_day(rules.earliest)}", time < rules.earliest),
            (f"time is after {_day(latest)}", time > latest),
        ]
    return faults


def _day(ms: int) -> str:
    moment = pl.select(pl.lit(ms).cast(pl.Int64).cast(pl.Datetime("ms")).dt.strftime("%Y-%m-%d"))
    return str(moment.item())


def scale_faults(plan: ValuePlan) -> list[tuple[str, pl.Expr]]:
    """Values outside the scale of the plan."""
    if plan.scale is None:
        return []
    low, high = plan.scale
    return [(f"value is outside {low:g} to {high:g}", ~pl.col("value").is_between(low, high))]


def match_items(
    events: pl.DataFrame, items: pl.Series | None, rules: CleaningRules, ledger: Ledger
) -> pl.DataFrame:
    """Events whose item the items table lacks: counted, or dropped when the rules say so."""
    if items is None:
        return events
    distinct = events["item"].unique().cast(pl.String)
    strangers = distinct.filter(~distinct.is_in(items.implode()))
    if not len(strangers):
        return events
    rows = events.filter(pl.col("item").cast(pl.String).is_in(strangers.implode()))[ROW]
    if rules.unknown_items == "drop":
        return ledger.drop_rows(events, rows, "item is not in the items table")
    ledger.notice("item is not in the items table", len(rows))
    return events


def clean_entities(table: pl.DataFrame, key: str, ledger: Ledger) -> pl.DataFrame:
    """Items or users with one row each: exact copies go, and a later row replaces an earlier one."""
    table = ledger.drop(table, id_faults(table, key))
    doubled = table.filter(pl.col(key).is_duplicated())
    if not len(doubled):
        return table
    fields = [name for name in table.columns if name != ROW]
    copies = doubled.filter(~pl.struct(fields).is_first_distinct())[ROW]
    table = ledger.drop_rows(table, copies, "exact copy of an earlier row")
    older = table.filter(~pl.col(key).is_last_distinct())[ROW]
    return ledger.drop_rows(table, older, f"replaced by a later row of the same {key}")


def clean_edges(edges: pl.DataFrame, ledger: Ledger) -> pl.DataFrame:
    """Edges with both ends and a finite weight, exact copies once; loops stay but are counted."""
    weight = pl.col("weight")
    bad = weight.is_null() | ~weight.is_finite() | (weight.abs() > 3e38)
    faults = [
        *id_faults(edges, "source"),
        *id_faults(edges, "target"),
        ("weight is not a finite number", bad),
    ]
    edges = ledger.drop(edges, faults)
    fields = ["source", "relation", "target", "weight"]
    copies = edges.filter(~pl.struct(fields).is_first_distinct())[ROW]
    edges = ledger.drop_rows(edges, copies, "exact copy of an earlier row")
    loops = edges["source"].cast(pl.String) == edges["target"].cast(pl.String)
    ledger.notice("edge leads back to its source", int(loops.sum()))
    return edges


def clean_links(links: pl.DataFrame, ledger: Ledger) -> pl.DataFrame:
    """Links with both ends; an entity is one item only, the first that it is said to be."""
    links = ledger.drop(links, [*id_faults(links, "item"), *id_faults(links, "entity")])
    later = links.filter(~pl.col("entity").is_first_distinct())[ROW]
    return ledger.drop_rows(links, later, "entity is an earlier row's item")


def entities_as_items(triples: pl.DataFrame, links: pl.DataFrame) -> pl.DataFrame:
    """Triples in which a linked entity goes by its item's id, and any other as ``entity:ID``.

    Entities and items are often numbered alike; so no number means both.
    """
    item_of = links.select(pl.col("entity").cast(pl.String), pl.col("item").cast(pl.String).alias("@item"))
    for end in ("source", "target"):
        joined = triples.with_columns(pl.col(end).cast(pl.String)).join(
            item_of, left_on=end, right_on="entity", how="left", maintain_order="left"
        )
        stranger = pl.concat_str(pl.lit("entity:"), end)
        triples = joined.with_columns(pl.coalesce("@item", stranger).alias(end)).drop("@item")
    return triples
