"""Clean tables as codes and arrays: what models learn from."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl

from polyscene.core.arrays import Array, Codes, Floats, RaggedTable, Times, offsets_of
from polyscene.core.contracts import Data, Edges
from polyscene.core.errors import DataError
from polyscene.core.queries import HISTORY_COLUMNS
from polyscene.dataset.catalogue import build_catalogue, build_people
from polyscene.dataset.codemap import CodeMap
from polyscene.dataset.live import NEVER
from polyscene.dataset.order import history_order
from polyscene.dataset.tables import Tables


@dataclass(frozen=True, slots=True)
class Encoded:
    """Data with the ids behind its codes."""

    data: Data
    items: CodeMap
    users: CodeMap


def encode(
    tables: Tables,
    *,
    items: CodeMap | None = None,
    users: CodeMap | None = None,
    order: Literal["sorted", "seen"] = "sorted",
    only_touched: bool = False,
) -> Encoded:
    """The tables as `Data`: histories by user code, each by time, ties as in the raw file.

    Given code maps are grown. New ids get codes in sorted order (as ``pandas.factorize(sort=True)``), or
    as they are first seen. With `only_touched` items without an event get no code: evaluation ranks
    exactly the items that events name. Actions and scenarios get codes in sorted order.

    Raises:
        DataError: There are no events.
    """
    events = tables.events
    if not len(events):
        raise DataError(f"data {tables.name!r}: no events are left after cleaning; see its report")
    items = CodeMap() if items is None else items
    users = CodeMap() if users is None else users
    user_codes = _coded(users, events["user"], order)
    item_codes = _coded(items, events["item"], order)
    if tables.items is not None and not only_touched:
        _coded(items, tables.items["item"], order)
    actions, action_codes = _named(events["action"])
    scenarios, scenario_codes = _named(events["scenario"])
    columns = {
        "item": item_codes,
        "action": action_codes,
        "value": events["value"].to_numpy(),
        "time": events["time"].to_numpy(),
        "scenario": scenario_codes,
    }
    touched, histories = group(user_codes, columns, events["row"].to_numpy())
    put_at = first_times(item_codes, columns["time"], len(items))
    data = Data(
        users=touched,
        histories=histories,
        catalogue=build_catalogue(tables.items, items, put_at=put_at),
        at=int(columns["time"].max()) + 1,
        clock=tables.clock,
        actions=actions,
        scenarios=scenarios,
        edges=edges_of(tables.edges, items, users),
        people=build_people(tables.users, users),
    )
    return Encoded(data, items, users)


def group(users: Codes, columns: dict[str, Array], tie: Array) -> tuple[Codes, RaggedTable]:
    """Events (N,) as one history per user: user codes (U,) rising, and their rows by time, then `tie`."""
    order = _ordered(users, columns["time"], tie)
    sorted_users = users[order]
    lengths = np.bincount(sorted_users) if len(users) else np.zeros(0, np.int64)
    touched = np.flatnonzero(lengths)
    rows: dict[str, Array] = {
        name: column[order].astype(HISTORY_COLUMNS[name], copy=False) for name, column in columns.items()
    }
    return touched.astype(np.int32), RaggedTable(offsets_of(lengths[touched]), rows)


def _ordered(users: Codes, times: Times, tie: Array) -> Array:
    if (tie[1:] > tie[:-1]).all():
        return history_order(users, times)
    before = np.argsort(tie, kind="stable")
    return before[history_order(users[before], times[before])]


def first_times(items: Codes, times: Times, size: int) -> Times:
    """(size,) time of each item's first event, `NEVER` where it has none."""
    first = np.full(size, NEVER, np.int64)
    np.minimum.at(first, items, times)
    return first


def _coded(codes: CodeMap, ids: pl.Series, order: Literal["sorted", "seen"]) -> Codes:
    if order == "sorted":
        codes.codes(ids.unique().sort().to_list(), grow=True)
    return codes.codes(ids, grow=True)


def _named(words: pl.Series) -> tuple[tuple[str, ...], Codes]:
    known = words.unique().sort().to_list()
    places = pl.Series(range(len(known)), dtype=pl.Int16)
    return tuple(known), words.replace_strict(pl.Series(known), places, return_dtype=pl.Int16).to_numpy()


def edges_of(frame: pl.DataFrame | None, items: CodeMap, users: CodeMap) -> Edges | None:
    """The edges of a clean table; None without one."""
    if frame is None:
        return None
    ends = {name: frame[name].to_numpy().astype(object) for name in ("source", "relation", "target")}
    return coded_edges(ends, frame["weight"].to_numpy(), items, users)


def coded_edges(ends: Mapping[str, Array], weight: Floats, items: CodeMap, users: CodeMap) -> Edges:
    """Edges from their outside ids (source, relation, target), with the codes that the ids have."""
    both = ends["source"], ends["target"]
    return Edges(
        ends["source"],
        ends["relation"],
        ends["target"],
        weight,
        users=np.column_stack([users.codes(ids) for ids in both]),
        items=np.column_stack([items.codes(ids) for ids in both]),
    )
