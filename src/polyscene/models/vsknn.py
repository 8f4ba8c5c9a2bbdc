"""Session neighbours: what is in the past sessions most like the end of this history.

Legend: B queries, S sessions, R item rows of the part, I item codes.
"""

import math
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np
from msgspec import Meta
from scipy import sparse

from polyscene.core.answer import answer
from polyscene.core.arrays import Array, RaggedTable, Scores, offsets_of
from polyscene.core.clock import DAY_MS
from polyscene.core.config import Config
from polyscene.core.contracts import Data, Effect, Run, State
from polyscene.core.queries import Queries
from polyscene.core.rows import Rows
from polyscene.core.slates import Slates
from polyscene.dataset.matrix import interactions
from polyscene.nn.item_weights import largest

BLOCK = 512
"""Queries answered at once."""
Fall = Literal["same", "div", "quadratic", "log"]


class Vsknn(Config, frozen=True, kw_only=True, tag="vsknn"):
    """Scores an item by the sessions that hold it, among those most like the end of the history.

    A session is a stretch of a training history without a pause of `pause_days` (in data without a clock,
    any stretch), cut to `longest` events. Of a history the newest `last` distinct items are read; their
    weights fall with age by `weights`. The `neighbours` sessions with the largest sum of weights, of equal
    ones the newest, speak for all their items with that sum, less by `decay` the longer ago the newest item
    that session and history share; rare items count up to 1 + `rarity` times their inverse document
    frequency. Keeps sessions without the codes of people, yet forgetting someone needs a refit. What no
    neighbour holds is left unscored; so is everything for an empty history.

    Source: V-SkNN and VMS-kNN (Ludewig and Jannach 2018, Ludewig et al. 2021), of all sessions in place of
    the newest few thousand, which bounds time but not quality.
    """

    neighbours: Annotated[int, Meta(ge=1)] = 200
    last: Annotated[int, Meta(ge=1, le=1000)] = 10
    weights: Fall = "quadratic"
    decay: Fall = "quadratic"
    rarity: Annotated[float, Meta(ge=0)] = 0.0
    pause_days: Annotated[float, Meta(gt=0)] = 1.0
    longest: Annotated[int, Meta(ge=2)] = 20

    def fit(self, data: Data, run: Run, warm: "VsknnPart | None" = None) -> "VsknnPart":
        """Cuts histories into sessions, the newest first."""
        seen = data.histories["item"]
        rows = Rows(np.unique(seen[seen >= 0]))
        starts = self._starts(data)
        ends = np.append(starts, len(seen))[1:]
        table = RaggedTable(offsets_of(ends - starts), data.histories.columns)
        newest_first = np.argsort(-data.histories["time"][ends - 1], kind="stable")
        return VsknnPart.of(self, rows, interactions(table.take(newest_first), rows))

    def load(self, state: State, run: Run) -> "VsknnPart":
        """The sessions as they were saved."""
        rows, columns = Rows(state.tensors["codes"]), state.tensors["columns"]
        offsets = state.tensors["offsets"]
        parts = (np.ones(len(columns), np.float32), columns, offsets)
        return VsknnPart.of(self, rows, sparse.csr_matrix(parts, shape=(len(offsets) - 1, len(rows))))

    def _starts(self, data: Data) -> Array:
        """Places of the events that begin a session."""
        histories = data.histories
        begins = np.zeros(len(histories["item"]), bool)
        begins[histories.offsets[:-1][histories.lengths > 0]] = True
        if data.clock:
            begins[1:] |= np.diff(histories["time"]) > self.pause_days * DAY_MS
        place = np.arange(len(begins))
        within = place - np.maximum.accumulate(np.where(begins, place, 0))
        return np.flatnonzero(within % self.longest == 0)


@dataclass(frozen=True, slots=True)
class VsknnPart:
    """Shapes: `sessions` (S, R) sparse ones, the newest first; `holders` (R, S) the same by item."""

    config: Vsknn
    rows: Rows
    sessions: sparse.csr_matrix
    holders: sparse.csr_matrix
    effect: ClassVar[frozenset[Effect]] = frozenset({Effect.ADDS})

    @classmethod
    def of(cls, config: Vsknn, rows: Rows, sessions: sparse.csr_matrix) -> "VsknnPart":
        """The part that asks these sessions."""
        return cls(config, rows, sessions, sessions.T.tocsr())

    def __call__(self, queries: Queries, slates: Slates) -> Slates:
        """Adds what the nearest sessions hold."""
        return answer(self, queries, slates)

    def score_all(self, queries: Queries) -> Scores:
        """(B, I) what the neighbours say for each item; -inf where none holds it."""
        scores_BR = np.zeros((len(queries), len(self.rows)), np.float32)
        places = self._places(queries.history)
        for start in range(0, len(queries), BLOCK):
            block = [place_BR[start : start + BLOCK] for place_BR in places]
            scores_BR[start : start + BLOCK] = (self._neighbours(block) @ self.sessions).toarray()
        if self.config.rarity:
            held_R = np.asarray(self.sessions.sum(0)).ravel()
            scores_BR *= 1 + self.config.rarity * np.log(self.sessions.shape[0] / np.maximum(held_R, 1))
        scores_BR[scores_BR <= 0] = -np.inf
        return self.rows.spread(scores_BR, queries.allowed.size)

    def state(self) -> State:
        """The sessions as item rows."""
        tensors = {
            "codes": self.rows.codes,
            "columns": self.sessions.indices,
            "offsets": self.sessions.indptr,
        }
        return State(tensors)

    def _neighbours(self, places: list[sparse.csr_matrix]) -> sparse.csr_matrix:
        """(B, S) how much each of the nearest sessions has to say."""
        config, shape = self.config, (places[0].shape[0], self.sessions.shape[0])
        lengths_B1 = sum(np.diff(place_BR.indptr) for place_BR in places)[:, None]
        alike_BS, fresh_BS = (sparse.csr_matrix(shape, dtype=np.float32) for _ in range(2))
        for age, place_BR in enumerate(places, 1):
            shared_BS = (place_BR @ self.holders).tocsr()
            weight_B1 = _history_weight(config.weights, age, lengths_B1)
            alike_BS = alike_BS + shared_BS.multiply(weight_B1)
            fresh_BS = fresh_BS.maximum(shared_BS * np.float32(_decay(config.decay, age)))
        alike_BS = sparse.csr_matrix(alike_BS, dtype=np.float32)
        alike_BS.sort_indices()
        kept = largest(alike_BS, config.neighbours)
        row = np.repeat(np.arange(shape[0]), np.diff(alike_BS.indptr))[kept]
        near_BS = sparse.csr_matrix((alike_BS.data[kept], (row, alike_BS.indices[kept])), shape=shape)
        return near_BS.multiply(fresh_BS).tocsr()

    def _places(self, history: RaggedTable) -> list[sparse.csr_matrix]:
        """For each place from the end, (B, R) a one at the item there; of equal items the newest stays."""
        row, lists = self.rows.of(history["item"]), history.rows()
        place = np.arange(len(row))
        # Of an item's events in a list the newest counts.
        order = np.lexsort((-place, row, lists))
        first = np.ones(len(order), bool)
        first[1:] = (np.diff(lists[order]) != 0) | (np.diff(row[order]) != 0)
        kept = np.zeros(len(row), bool)
        kept[order[first]] = True
        table = RaggedTable(history.offsets, {"row": row}).where(kept & (row >= 0)).tail(self.config.last)
        owner = table.rows()
        age = table.offsets[1:][owner] - 1 - np.arange(len(owner))
        shape = (len(history), len(self.rows))
        return [
            sparse.csr_matrix(
                (np.ones(int(at.sum()), np.float32), (owner[at], table["row"][at])), shape=shape
            )
            for at in (age == number for number in range(self.config.last))
        ]


def _history_weight(fall: Fall, age: int, lengths_B1: Array) -> Array:
    """What the item at place `age` from the end (1 = newest) of lists so long weighs."""
    share_B1 = np.maximum(lengths_B1 - age + 1, 0) / np.maximum(lengths_B1, 1)
    weight_B1: Array = np.full(lengths_B1.shape, _decay(fall, age), np.float32)
    if fall in ("div", "quadratic"):
        weight_B1 = (share_B1 ** (1 if fall == "div" else 2)).astype(np.float32)
    return weight_B1


def _decay(fall: Fall, age: int) -> float:
    """How much a neighbour counts whose newest shared item stands at place `age` from the end."""
    return {"same": 1.0, "div": 1 / age, "quadratic": 1 / age**2, "log": 1 / math.log10(age + 1.7)}[fall]
