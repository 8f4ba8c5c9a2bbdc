"""Histories as padded tensors with all that is known of each event, and batches of them to learn from.

Legend: B sequences, L positions, M = L + 1 events, N real positions, S next items, R item rows.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import numpy as np
import torch
from torch import Tensor

from polyscene.core.arrays import Array, RaggedTable
from polyscene.core.contracts import Data
from polyscene.core.queries import Queries
from polyscene.lean.reading import TIME_BUCKETS, Clock, Reading, time_bucket
from polyscene.nn.augment import Augment, changed_rows, cropped, reordered, stretches
from polyscene.nn.batching import bucket_edges, pieces

VALUE_BUCKETS = 16
AS_IS = Augment()


@dataclass(frozen=True, slots=True)
class Events:
    """Sequences side by side, padded on the right.

    Shapes: `rows` (B, L) int64 item rows; `real` (B, L) bool, False where padded; `last` (B,) int64 place
    of the newest event; `surface` (B, L) int64 each: codes of what else is known, by the names of
    `Reader.sizes`; `buckets` (B, L, L) int64 of the time between two events, None without a clock.
    """

    rows: Tensor
    real: Tensor
    last: Tensor
    surface: Mapping[str, Tensor]
    buckets: Tensor | None


@dataclass(frozen=True, slots=True)
class Reader(Reading):
    """How histories become padded tensors."""

    @classmethod
    def of(cls, data: Data, max_len: int, clock: Clock, *, surface: bool) -> "Reader":
        """A reader for data like this; without `surface` it reads items, and times as `clock` says."""
        if not surface:
            return cls(max_len, 1, 1, np.zeros(1, np.float32), clock)
        values = data.histories["value"]
        values = values[np.isfinite(values)]
        distinct = np.unique(values)
        if len(distinct) > VALUE_BUCKETS:
            distinct = np.unique(np.quantile(values, np.linspace(0, 1, VALUE_BUCKETS + 1)[1:]))
        edges = distinct.astype(np.float32) if len(distinct) else np.zeros(1, np.float32)
        return cls(max_len, len(data.actions), len(data.scenarios), edges, clock)

    def meta(self) -> dict[str, int | str]:
        """All but the edges, as JSON data."""
        sizes = {"actions": self.actions, "scenarios": self.scenarios}
        return {"max_len": self.max_len, **sizes, "clock": self.clock}

    @classmethod
    def load(cls, meta: Mapping[str, Any], edges: Array) -> "Reader":
        """What `meta` and `edges` gave. Raises KeyError or ValidationError where something is wrong."""
        max_len, actions, scenarios = (
            msgspec.convert(meta[name], int) for name in ("max_len", "actions", "scenarios")
        )
        clock: Clock = msgspec.convert(meta["clock"], Clock)
        return cls(max_len, actions, scenarios, edges, clock)

    def read(
        self,
        table: RaggedTable,
        places_BL: Array,
        lengths_B: Array,
        following: Mapping[str, Array],
        device: torch.device,
    ) -> Events:
        """The events at places of a table; `following` (B, L) has second and scenario of the next ones."""
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
            buckets = pair_buckets(
                torch.from_numpy(sight_BL).to(device), torch.from_numpy(now_BL).to(device)
            )
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

    Shapes: `targets` (N, S) int64 rows of the items that came next, in the order of ``events.real``;
    `shares` (N, S) what each of them counts, 0 where a history ends before; `places` (N,) place of each
    position's event in the table; `users` (N,) its history; `next_action` (N,) int64 and `next_value` (N,)
    float32 of the event that came next.
    """

    events: Events
    targets: Tensor
    shares: Tensor
    places: Array
    users: Array
    next_action: Tensor
    next_value: Tensor

    def split(self, parts: int) -> "list[tuple[Lesson, float]]":
        """About equal pieces, fewer if it has fewer sequences, each with its share of the targets."""
        return [(self._between(*cut), share) for *cut, share in pieces(self.events.real, parts)]

    def _between(self, some: slice, flat: slice) -> "Lesson":
        events = Events(
            self.events.rows[some],
            self.events.real[some],
            self.events.last[some],
            {name: codes[some] for name, codes in self.events.surface.items()},
            None if self.events.buckets is None else self.events.buckets[some],
        )
        return Lesson(
            events,
            self.targets[flat],
            self.shares[flat],
            self.places[flat],
            self.users[flat],
            self.next_action[flat],
            self.next_value[flat],
        )


@dataclass(frozen=True, slots=True)
class Syllabus:
    """What lessons are made of.

    `batch_size` counts events. `hide`: share of sequences whose times of asking are hidden, so that one
    model answers with and without them. `ahead`: how many next items are targets, each counting `fade`
    times the one before. `similar` (R,) is what `augment` substitutes by.
    """

    batch_size: int
    seed: int
    hide: float = 0.0
    ahead: int = 1
    fade: float = 0.5
    augment: Augment = AS_IS
    similar: Array | None = None


class Lessons:
    """Stretches of every history, newest events first to be kept, in a new order each epoch.

    Sequences of like length share a batch, so little is padding; a history of one event has nothing to
    predict and is left out.
    """

    def __init__(
        self, reader: Reader, table: RaggedTable, syllabus: Syllabus, device: torch.device
    ) -> None:
        self._reader, self._table, self._syllabus, self._device = reader, table, syllabus, device
        _, lengths = self._stretches(np.random.default_rng(syllabus.seed))
        edges = bucket_edges(reader.max_len)
        bucket = np.searchsorted(edges, lengths - 1)
        self._buckets = [
            (np.flatnonzero(bucket == number), max(1, syllabus.batch_size // int(edge)))
            for number, edge in enumerate(edges)
        ]
        self._owner = table.rows()

    @property
    def steps(self) -> int:
        """Batches in one epoch; 0 when no history has two events."""
        return sum(-(-len(members) // size) for members, size in self._buckets)

    def epoch(self, number: int) -> Iterator[Lesson]:
        """The batches of one epoch; they depend on seed and number only."""
        rng = np.random.default_rng([self._syllabus.seed, number])
        groups = []
        for members, size in self._buckets:
            mixed = rng.permutation(members)
            groups += [mixed[start : start + size] for start in range(0, len(mixed), size)]
        starts, lengths = self._stretches(rng)
        for place in rng.permutation(len(groups)):
            yield self._lesson(starts[groups[place]], lengths[groups[place]], rng)

    def _stretches(self, rng: np.random.Generator) -> tuple[Array, Array]:
        windows = self._syllabus.augment.windows
        return stretches(windows, self._table.offsets, self._reader.max_len, rng)

    def _lesson(self, starts: Array, lengths: Array, rng: np.random.Generator) -> Lesson:
        table, syllabus, augment = self._table, self._syllabus, self._syllabus.augment
        if augment.crop:
            starts, lengths = cropped(starts, lengths, augment.crop, rng)
        place_M = np.arange(int(lengths.max()))
        places_BM = starts[:, None] + np.minimum(place_M, lengths[:, None] - 1)
        if augment.reorder:
            places_BM = reordered(places_BM, place_M < lengths[:, None], augment.reorder, rng)
        places_BL, after_BL = places_BM[:, :-1], places_BM[:, 1:]
        second_BL = table["second"][after_BL]
        if syllabus.hide:
            second_BL = np.where(rng.random((len(starts), 1)) < syllabus.hide, -1, second_BL)
        following = {"second": second_BL, "scenario": table["scenario"][after_BL]}
        events = self._reader.read(table, places_BL, lengths - 1, following, self._device)
        real_BL = place_M[:-1] < lengths[:, None] - 1
        if (augment.mask or augment.substitute) and syllabus.similar is not None:
            events = self._changed(events, table["row"][places_BL], real_BL, rng)
        targets, shares = self._targets(places_BM, lengths)
        places_N, after_N = places_BL[real_BL], after_BL[real_BL]
        return Lesson(
            events,
            self._put(targets[real_BL]),
            self._put(shares[real_BL]),
            places_N,
            self._owner[places_N],
            self._put(table["action"][after_N]),
            self._put(table["amount"][after_N]),
        )

    def _changed(self, events: Events, rows_BL: Array, real_BL: Array, rng: np.random.Generator) -> Events:
        """With holes, which are one row after the last item's, and likened items."""
        similar = self._syllabus.similar
        assert similar is not None
        rows_BL = changed_rows(rows_BL, real_BL, self._syllabus.augment, rng, similar, len(similar))
        return replace(events, rows=_tensor(rows_BL, real_BL, self._device))

    def _targets(self, places_BM: Array, lengths: Array) -> tuple[Array, Array]:
        """Rows and shares (B, L, S) of the next items of each position."""
        rows_BM, ahead = self._table["row"][places_BM], self._syllabus.ahead
        L = rows_BM.shape[1] - 1
        target_LS = np.arange(L)[:, None] + np.arange(1, ahead + 1)
        inside_BLS = target_LS < lengths[:, None, None]
        shares_BLS = inside_BLS * self._syllabus.fade ** np.arange(ahead)
        shares_BLS /= np.maximum(shares_BLS.sum(-1, keepdims=True), 1e-9)
        return rows_BM[:, np.minimum(target_LS, L)], shares_BLS.astype(np.float32)

    def _put(self, values: Array) -> Tensor:
        return torch.from_numpy(values).to(self._device)


def pair_buckets(sight_BL: Tensor, then_BL: Tensor) -> Tensor:
    """(B, L, L) int64 `time_bucket` between what each position sees as now and each event."""
    seconds = (sight_BL[:, :, None] - then_BL[:, None, :]).float()
    some = seconds >= 1
    return (
        seconds.clamp_(min=1).log_().div_(0.301).add_(1).clamp_(max=TIME_BUCKETS - 2).mul_(some).long() + 1
    )


def _tensor(values_BL: Array, real_BL: Array, device: torch.device) -> Tensor:
    return torch.from_numpy(np.where(real_BL, values_BL, 0).astype(np.int64)).to(device)
