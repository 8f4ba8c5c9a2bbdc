"""Users with an item they touched and items they did not.

Legend: N pairs, K negatives, D width, U users, R item rows.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from polyscene.core.arrays import Array, Floats
from polyscene.core.contracts import Data
from polyscene.core.rows import Rows, log_share
from polyscene.dataset.matrix import interactions
from polyscene.nn.graph import rows_of

REDRAWS = 8
"""Times that a negative which its user touched is drawn again; who touched nearly all keeps one."""


@dataclass(frozen=True, slots=True)
class Touched:
    """Who touched what. Shapes: `cells` (U, R) sparse ones; `prior` (R,) log share of interactions."""

    users: Rows
    items: Rows
    cells: sparse.csr_matrix
    prior: Floats

    @classmethod
    def of(cls, data: Data) -> "Touched":
        """Everything that the histories tell."""
        seen = data.histories["item"]
        seen = seen[seen >= 0]
        items = Rows(np.unique(seen))
        prior = log_share(items.of(seen), len(items))
        return cls(Rows(data.users), items, interactions(data.histories, items), prior)


@dataclass(frozen=True, slots=True)
class PairBatch:
    """Shapes: `users` (N,) and `items` (N,) int64 rows, `others` (N, K) rows of items not touched."""

    users: Tensor
    items: Tensor
    others: Tensor

    def __len__(self) -> int:
        return len(self.users)

    def split(self, parts: int) -> "list[tuple[PairBatch, float]]":
        """About equal pieces, fewer if it has fewer pairs, each with its share of them."""
        edges = np.unique(np.linspace(0, len(self), min(parts, len(self)) + 1).astype(np.int64)).tolist()
        return [
            (
                PairBatch(self.users[start:stop], self.items[start:stop], self.others[start:stop]),
                (stop - start) / len(self),
            )
            for start, stop in pairwise(edges)
        ]


class Pairs:
    """Every cell of a (U, R) matrix once an epoch in a new order, with `negatives` uniform draws each."""

    def __init__(
        self, cells: sparse.csr_matrix, *, batch_size: int, negatives: int, seed: int, device: torch.device
    ) -> None:
        self._users, self._items = rows_of(cells), cells.indices.astype(np.int64)
        self._width = cells.shape[1]
        self._touched = np.sort(self._users * self._width + self._items)
        self._batch_size, self._negatives = batch_size, negatives
        self._seed, self._device = seed, device

    @property
    def steps(self) -> int:
        """Batches in one epoch; 0 when nobody touched anything."""
        return math.ceil(len(self._users) / self._batch_size)

    def epoch(self, number: int) -> Iterator[PairBatch]:
        """The batches of one epoch; the order depends on seed and number only."""
        rng = np.random.default_rng([self._seed, number])
        mixed = rng.permutation(len(self._users))
        for start in range(0, len(mixed), self._batch_size):
            chosen = mixed[start : start + self._batch_size]
            users, items = self._users[chosen], self._items[chosen]
            arrays = users, items, self._draw(users, rng)
            yield PairBatch(*(torch.from_numpy(each).to(self._device) for each in arrays))

    def _draw(self, users_N: Array, rng: np.random.Generator) -> Array:
        """(N, K) items that the users did not touch."""
        others_NK = rng.integers(self._width, size=(len(users_N), self._negatives))
        for _ in range(REDRAWS):
            keys = users_N[:, None] * self._width + others_NK
            place = np.minimum(np.searchsorted(self._touched, keys), len(self._touched) - 1)
            wrong = self._touched[place] == keys
            if not wrong.any():
                break
            others_NK[wrong] = rng.integers(self._width, size=int(wrong.sum()))
        return others_NK
