"""Behind `polyscene data list | fetch | check`: known sets, and what any source holds and lacks."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from polyscene.core.catalogue import ColumnType
from polyscene.core.clock import show_time
from polyscene.dataset.known import SETS, cached, fetch
from polyscene.dataset.reading import Reading
from polyscene.dataset.schema import attribute_type, field_names
from polyscene.dataset.tables import TableReport, Tables
from polyscene.jobs.infer import load_or_propose

MANY_REMOVED = 0.05
AS_IT_IS = Reading()
FEW_EVENTS = 3
"""Leave-one-out needs this many events of a user: one to test, one to validate, one to learn from."""


@dataclass(frozen=True, slots=True)
class SetFacts:
    """One known data set; `folder` is None until it is fetched."""

    name: str
    title: str
    events: int
    users: int
    items: int
    licence: str
    package: str
    folder: str | None


@dataclass(frozen=True, slots=True)
class Check:
    """What a source holds.

    `tables`: the books of each table. `attributes`: type of each attribute of items and users.
    `actions`: events per action. `span`: first and last time (ISO 8601; positions without a clock).
    `values`: lowest and highest value. `notes`: what was guessed or detected. `warnings`: what is odd.
    """

    name: str
    events: int
    users: int
    items: int
    clock: bool
    span: tuple[str, str]
    values: tuple[float, float]
    actions: Mapping[str, int]
    tables: Mapping[str, TableReport]
    attributes: Mapping[str, Mapping[str, ColumnType]]
    notes: tuple[str, ...]
    warnings: tuple[str, ...]
    quarantine: str | None


def list_sets(cache: Path | None = None) -> list[SetFacts]:
    """Every known data set with its published counts, licence note and where it is cached."""
    return [_facts(name, cached(name, cache)) for name in SETS]


def fetch_set(name: str, cache: Path | None = None) -> SetFacts:
    """Fetches a known set again and verifies it. Raises as `known.fetch` does."""
    return _facts(name, fetch(name, cache))


def _facts(name: str, folder: Path | None) -> SetFacts:
    known = SETS[name]
    return SetFacts(
        name=name,
        title=known.title,
        events=known.events,
        users=known.users,
        items=known.rated_items,
        licence=known.licence,
        package=known.package,
        folder=str(folder) if folder else None,
    )


def check_source(
    source: str | Path, reading: Reading = AS_IT_IS, *, quarantine: Path | None = None
) -> Check:
    """Reads and cleans a source as training would, and tells what is in it and what is odd.

    Raises:
        DataError: The source can't be used at all; it says what to do.
    """
    tables = load_or_propose(str(source), reading, quarantine=quarantine)
    events = tables.events
    times = events.select(pl.col("time").min().alias("low"), pl.col("time").max().alias("high")).row(0)
    values = events.select(pl.col("value").min().alias("low"), pl.col("value").max().alias("high")).row(0)
    low, high = (show_time(time) if tables.clock else str(time) for time in times)
    actions = events["action"].value_counts(sort=True)
    return Check(
        name=tables.name,
        events=len(events),
        users=events["user"].n_unique(),
        items=events["item"].n_unique(),
        clock=tables.clock,
        span=(low, high),
        values=(float(values[0]), float(values[1])),
        actions=dict(actions.iter_rows()),
        tables=tables.report.tables,
        attributes=_attributes(tables),
        notes=tables.report.notes,
        warnings=tuple(_warnings(tables)),
        quarantine=str(quarantine) if quarantine else None,
    )


def _attributes(tables: Tables) -> dict[str, dict[str, ColumnType]]:
    found: dict[str, dict[str, ColumnType]] = {}
    if tables.items is not None:
        fields = field_names("items")
        found["items"] = {c.name: attribute_type(c) for c in tables.items if c.name not in fields}
    if tables.users is not None:
        found["users"] = {c.name: attribute_type(c) for c in tables.users if c.name != "user"}
    return found


def _warnings(tables: Tables) -> list[str]:
    return [
        *_order_warnings(tables),
        *_size_warnings(tables),
        *_value_warnings(tables),
        *_removal_warnings(tables),
        *_item_warnings(tables),
    ]


def _order_warnings(tables: Tables) -> list[str]:
    if tables.clock:
        return []
    return ["no clock: the order of events is known, their times are not; --protocol time will be refused"]


def _size_warnings(tables: Tables) -> list[str]:
    counts = tables.events.group_by("user").len()["len"]
    few = int((counts < FEW_EVENTS).sum())
    if few * 2 > len(counts):
        return [f"{few} of {len(counts)} users have under {FEW_EVENTS} events: too few for leave-one-out"]
    return []


def _value_warnings(tables: Tables) -> list[str]:
    values = tables.events["value"]
    zeros = int((values == 0).sum())
    if not zeros:
        return []
    what = "shown but not clicked" if values.max() == 1 else "unrated"
    advice = "they count as interactions, unless the rule 'scale' declares what counts"
    return [f"{zeros} of {len(values)} values are 0 ({what}?); {advice}"]


def _removal_warnings(tables: Tables) -> list[str]:
    warnings = []
    for name, report in tables.report.tables.items():
        many = [(cause, n) for cause, n in report.removed.items() if n > MANY_REMOVED * report.rows_in]
        warnings += [f"{name}: {n} of {report.rows_in} rows removed: {cause}" for cause, n in many]
        repeats = report.noticed.get("repeat of an earlier event on the same item", 0)
        if repeats > MANY_REMOVED * report.rows_in:
            warnings.append(f"{repeats} of {report.rows_in} events repeat an item; evaluation drops them")
    return warnings


def _item_warnings(tables: Tables) -> list[str]:
    if tables.items is None:
        return ["no items table: nothing is known of items but their ids, so new ones can't be understood"]
    warnings = []
    strangers = tables.report.tables["events"].noticed.get("item is not in the items table", 0)
    if strangers:
        warnings.append(
            f"{strangers} of {len(tables.events)} events are on items that the items table lacks"
        )
    if "title" not in tables.items.columns:
        warnings.append("items have no title; pages will show ids (--map items.title=COLUMN)")
    return warnings
