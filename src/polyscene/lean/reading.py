"""What a network reads of histories: each event as codes and seconds, no event padded.

Legend: B histories, N events of all histories.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from polyscene.core.arrays import Array, Offsets, RaggedTable
from polyscene.core.rows import Rows

Clock = Literal["order", "last", "query"]
TIME_BUCKETS = 66
"""0 for unknown, 1 for the same second, then one for each factor e^0.301 of seconds; the last is open."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Histories as they look to who asks now.

    Shapes: `offsets` (B+1,); all others (N,): `rows` of items, `surface` codes of what else is known by the
    names of `Reading.sizes`, `seconds` of the events, and `sight`, what each position takes for now.
    """

    offsets: Offsets
    rows: Array
    surface: Mapping[str, Array]
    seconds: Array
    sight: Array

    def part(self, start: int, stop: int | None = None) -> "Asked":
        """Some of the events as a history of their own."""
        at = slice(start, stop)
        rows = self.rows[at]
        surface = {name: codes[at] for name, codes in self.surface.items()}
        return Asked(np.array([0, len(rows)]), rows, surface, self.seconds[at], self.sight[at])


@dataclass(frozen=True, slots=True)
class Reading:
    """What is read of an event, in how many codes.

    `edges` (E,) rising upper ends of the value buckets. `actions`, `scenarios`: how many there are; what
    takes one value only is not read. Scenarios are those of an event and, as `next_scenario`, the one
    that is asked for. `clock`: ``"order"`` reads no times, ``"last"`` the gaps between events,
    ``"query"`` also that to the time of asking.
    """

    max_len: int
    actions: int
    scenarios: int
    edges: Array
    clock: Clock

    @property
    def sizes(self) -> dict[str, int]:
        """How many codes each column of the surface has, by name."""
        sizes = {"action": self.actions, "value": len(self.edges)}
        sizes |= {"scenario": self.scenarios, "next_scenario": self.scenarios}
        sizes = {name: size for name, size in sizes.items() if size > 1}
        if self.clock != "order":
            sizes["gap"] = TIME_BUCKETS
        if self.clock == "query":
            sizes["next_gap"] = TIME_BUCKETS
        return sizes

    def table(self, histories: RaggedTable, rows: Rows) -> RaggedTable:
        """The events whose item has a row, as codes, seconds and the value itself."""
        row = rows.of(histories["item"])
        columns = {
            "row": row.astype(np.int64),
            "action": np.clip(histories["action"], 0, self.actions - 1).astype(np.int64),
            "value": np.minimum(np.searchsorted(self.edges, histories["value"]), len(self.edges) - 1),
            "scenario": np.clip(histories["scenario"], 0, self.scenarios - 1).astype(np.int64),
            "second": histories["time"] // 1000,
            "amount": histories["value"],
        }
        return RaggedTable(histories.offsets, columns).where(row >= 0)

    def asked(self, table: RaggedTable, second_B: Array, scenario_B: Array) -> Asked:
        """The newest `max_len` events of each list, asked at this second from this scenario."""
        table, sizes = table.tail(self.max_len), self.sizes
        full = np.flatnonzero(table.lengths)
        first, last = table.offsets[:-1][full], table.offsets[1:][full] - 1
        now = table["second"]
        surface = {name: table[name] for name in ("action", "value", "scenario")}
        if "next_scenario" in sizes:
            surface["next_scenario"] = _moved(table["scenario"], -1)
            surface["next_scenario"][last] = np.clip(scenario_B[full], 0, self.scenarios - 1)
        sight = now
        if self.clock != "order":
            gap = now - _moved(now, 1)
            gap[first] = 0
            surface["gap"] = time_bucket(gap)
        if self.clock == "query":
            sight = _moved(now, -1)
            sight[last] = np.where(second_B[full] < 0, now[last], second_B[full])
            surface["next_gap"] = time_bucket(sight - now)
            surface["next_gap"][last[second_B[full] < 0]] = 0
        return Asked(table.offsets, table["row"], {name: surface[name] for name in sizes}, now, sight)


def time_bucket(seconds: Array) -> NDArray[np.int64]:
    """The bucket of a stretch of seconds, at least 1; less than nothing counts as the same second."""
    log = np.log(np.maximum(seconds, 1)) / 0.301
    return np.where(seconds < 1, 1, np.minimum(2 + log, TIME_BUCKETS - 1)).astype(np.int64)


def pair_buckets(sight_M: Array, then_L: Array) -> NDArray[np.int64]:
    """(M, L) `time_bucket` between what each position takes for now and each event, in float32."""
    seconds_ML = (sight_M[:, None] - then_L).astype(np.float32)
    some_ML = seconds_ML >= 1
    np.maximum(seconds_ML, 1, out=seconds_ML)
    np.log(seconds_ML, out=seconds_ML)
    seconds_ML /= np.float32(0.301)
    seconds_ML += 1
    np.minimum(seconds_ML, TIME_BUCKETS - 2, out=seconds_ML)
    seconds_ML *= some_ML
    return seconds_ML.astype(np.int64) + 1


def _moved(values: Array, by: int) -> Array:
    """The values rolled on by some places; what crosses a history's end is put right by the caller."""
    return np.roll(values, by)
