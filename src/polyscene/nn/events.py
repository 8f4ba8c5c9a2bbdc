"""Histories as padded tensors with all that is known of each event, and batches of them to learn from.

Legend: B sequences, L positions, N targets.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from polyscene.core.arrays import Array, RaggedTable, spans
from polyscene.core.queries import Queries
from polyscene.core.rows import Rows
from polyscene.nn.batching import bucket_edges

Clock = Literal["order", "last", "query"]
TIME_BUCKETS = 66
"""0 for unknown, 1 for the same second, then one for each factor e^0.301 of seconds; the last is open."""
VALUE_BUCKETS = 16


@dataclass(frozen=True, slots=True)
class Events:
    """Sequences side by side, padded on the right.

    Shapes: `rows` (B, L) int64 item rows; `real` (B, L) bool, False where padded; `last` (B,) int64 place of
    the newest event; `surface` (B, L) int64 each: codes of what else is known, by the names of
    `Reader.sizes`; `buckets` (B, L, L) int64 of the time between two events, None without a clock.
    """

    rows: Tensor
    real: Tensor
    last: Tensor
    surface: Mapping[str, Tensor]
    buckets: Tensor | None


@dataclass(frozen=True, slots=True)
class Reader:
    """How histories become tensors: what is read of an event, in how many codes.

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

    @classmethod
    def of(
        cls, histories: RaggedTable, max_len: int, actions: int, scenarios: int, clock: Clock
    ) -> "Reader":
        """A reader for data like this."""
        distinct = np.unique(histories["value"])
        if len(distinct) > VALUE_BUCKETS:
            distinct = np.unique(np.quantile(histories["value"], np.linspace(0, 1, VALUE_BUCKETS + 1)[1:]))
        return cls(max_len, actions, scenarios, distinct.astype(np.float32), clock)

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
        """The events whose item has a row, as codes and seconds."""
        row = rows.of(histories["item"])
        columns = {
            "row": row.astype(np.int64),
            "action": np.clip(histories["action"], 0, self.actions - 1).astype(np.int64),
            "value": np.minimum(np.searchsorted(self.edges, histories["value"]), len(self.edges) - 1),
            "scenario": np.clip(histories["scenario"], 0, self.scenarios - 1).astype(np.int64),
            "second": histories["time"] // 1000,
        }
        return RaggedTable(histories.offsets, columns).where(row >= 0)

    def read(
        self,
        table: RaggedTable,
        places_BL: Array,
        lengths_B: Array,
        following: Mapping[str, Array],
        device: torch.device,
    ) -> Events:
        """The events at the given places of a table; `following` (B, L) has second and scenario of the next."""
        real_BL = np.arange(places_BL.shape[1]) < lengths_B[:, None]
        surface = {name: table[name][places_BL] for name in ("action", "value", "scenario")}
        surface["next_scenario"] = following["scenario"]
        buckets = None
        if self.clock != "order":
            now_BL = table["second"][places_BL]
            before_BL = np.concatenate([now_BL[:, :1], now_BL[:, :-1]], 1)
            surface["gap"] = time_bucket(now_BL - before_BL)
            asked_BL = following["second"] if self.clock == "query" else np.full_like(now_BL, -1)
            unknown_BL = asked_BL < 0
            surface["next_gap"] = np.where(unknown_BL, 0, time_bucket(asked_BL - now_BL))
            sight_BL = np.where(unknown_BL, now_BL, asked_BL)
            buckets = _pairs(torch.from_numpy(sight_BL).to(device), torch.from_numpy(now_BL).to(device))
        read = {name: _tensor(surface[name], real_BL, device) for name in self.sizes}
        rows_BL = _tensor(table["row"][places_BL], real_BL, device)
        real, last = (
            torch.from_numpy(each).to(device) for each in (real_BL, lengths_B.astype(np.int64) - 1)
        )
        return Events(rows_BL, real, last, read, buckets)

    def ask(
        self, table: RaggedTable, queries: Queries, block: Array, lengths: Array, device: torch.device
    ) -> Events:
        """The newest `lengths` events of the queries of one block; every length is at least 1."""
        last_B = table.offsets[1:][block] - 1
        place_L = np.arange(int(lengths.max()))
        places_BL = np.minimum(last_B[:, None] - lengths[:, None] + 1 + place_L, last_B[:, None])
        after_BL = np.minimum(places_BL + 1, last_B[:, None])
        newest_BL = place_L == lengths[:, None] - 1
        asked_B = queries.at[block] // 1000
        scenario_B = np.clip(queries.scenario[block], 0, self.scenarios - 1)
        following = {
            "second": np.where(newest_BL, asked_B[:, None], table["second"][after_BL]),
            "scenario": np.where(newest_BL, scenario_B[:, None], table["scenario"][after_BL]),
        }
        return self.read(table, places_BL, lengths, following, device)


@dataclass(frozen=True, slots=True)
class Lesson:
    """A batch to learn from.

    Shapes: `targets` (N,) int64 row of the item that came next, in the order of ``events.real``; `places`
    (N,) place of each position's event in the table; `users` (N,) its history.
    """

    events: Events
    targets: Tensor
    places: Array
    users: Array


class Lessons:
    """Every history's newest `max_len` + 1 events, in a new order each epoch.

    Sequences of like length share a batch of about `batch_size` events, so little is padding; a history of
    one event has nothing to predict and is left out. With a query clock, `hide` is the share of sequences
    whose times of asking are hidden, so that one model answers with and without them.
    """

    def __init__(
        self,
        reader: Reader,
        table: RaggedTable,
        *,
        batch_size: int,
        seed: int,
        hide: float,
        device: torch.device,
    ) -> None:
        lengths = np.minimum(table.lengths - 1, reader.max_len)
        self._users = np.flatnonzero(lengths >= 1)
        self._lengths = lengths[self._users]
        self._starts = table.offsets[1:][self._users] - self._lengths - 1
        self._reader, self._table = reader, table
        self._seed, self._hide, self._device = seed, hide, device
        edges = bucket_edges(reader.max_len)
        bucket = np.searchsorted(edges, self._lengths)
        self._buckets = [
            (np.flatnonzero(bucket == number), max(1, batch_size // int(edge)))
            for number, edge in enumerate(edges)
        ]

    @property
    def steps(self) -> int:
        """Batches in one epoch; 0 when no history has two events."""
        return sum(-(-len(members) // size) for members, size in self._buckets)

    def epoch(self, number: int) -> Iterator[Lesson]:
        """The batches of one epoch; the order depends on seed and number only."""
        rng = np.random.default_rng([self._seed, number])
        groups = []
        for members, size in self._buckets:
            mixed = rng.permutation(members)
            groups += [mixed[start : start + size] for start in range(0, len(mixed), size)]
        for place in rng.permutation(len(groups)):
            yield self._lesson(groups[place], rng)

    def _lesson(self, group: NDArray[np.int64], rng: np.random.Generator) -> Lesson:
        lengths, starts = self._lengths[group], self._starts[group]
        place_L = np.arange(int(lengths.max()))
        places_BL = starts[:, None] + np.minimum(place_L, lengths[:, None] - 1)
        after_BL = places_BL + 1
        second_BL = self._table["second"][after_BL]
        if self._hide:
            second_BL = np.where(rng.random((len(group), 1)) < self._hide, -1, second_BL)
        following = {"second": second_BL, "scenario": self._table["scenario"][after_BL]}
        events = self._reader.read(self._table, places_BL, lengths, following, self._device)
        places_N = spans(starts, lengths)
        targets = torch.from_numpy(self._table["row"][places_N + 1]).to(self._device)
        return Lesson(events, targets, places_N, np.repeat(self._users[group], lengths))


def time_bucket(seconds: Array) -> NDArray[np.int64]:
    """The bucket of a stretch of seconds, at least 1; less than nothing counts as the same second."""
    log = np.log(np.maximum(seconds, 1)) / 0.301
    return np.where(seconds < 1, 1, np.minimum(2 + log, TIME_BUCKETS - 1)).astype(np.int64)


def _pairs(sight_BL: Tensor, then_BL: Tensor) -> Tensor:
    """(B, L, L) int64 `time_bucket` between what each position sees as now and each event."""
    seconds = (sight_BL[:, :, None] - then_BL[:, None, :]).float()
    some = seconds >= 1
    return (
        seconds.clamp_(min=1).log_().div_(0.301).add_(1).clamp_(max=TIME_BUCKETS - 2).mul_(some).long() + 1
    )


def _tensor(values_BL: Array, real_BL: Array, device: torch.device) -> Tensor:
    return torch.from_numpy(np.where(real_BL, values_BL, 0).astype(np.int64)).to(device)
