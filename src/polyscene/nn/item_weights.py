"""What sparse item-to-item models share: how they answer, and how each item's nearest are found.

Legend: B queries, C items of a chunk, I item codes, R item rows of the part, U users.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy import sparse

from polyscene.core.answer import answer
from polyscene.core.arrays import Array, Codes, Floats, RaggedTable, Scores
from polyscene.core.contracts import Effect, State
from polyscene.core.queries import Queries
from polyscene.core.reasons import strongest
from polyscene.core.rows import Rows
from polyscene.core.slates import Slates, top
from polyscene.dataset.matrix import interactions
from polyscene.nn.gram import gram

CHUNK_CELLS = 8_000_000
"""Similarities held at once while neighbours are chosen (32 MB)."""
DENSE_ITEMS = 8192
"""Items up to which all pairs are counted densely (268 MB at most): half the time of sparse on ML-1M."""

Alike = Callable[[Floats, Array, Array], Floats]
"""Shared users and the two rows, history item first, broadcast together -> how alike they are."""


@dataclass(frozen=True, slots=True)
class ItemWeights:
    """A fitted item-to-item model. Shapes: `weights` (R, R) sparse, of history item (row) to candidate."""

    rows: Rows
    weights: sparse.csr_matrix
    effect: ClassVar[frozenset[Effect]] = frozenset({Effect.ADDS})

    @classmethod
    def load(cls, state: State) -> "ItemWeights":
        """The part whose state this is."""
        rows = Rows(state.tensors["codes"])
        parts = (state.tensors["weights"], state.tensors["columns"], state.tensors["offsets"])
        return cls(rows, sparse.csr_matrix(parts, shape=(len(rows), len(rows))))

    def __call__(self, queries: Queries, slates: Slates) -> Slates:
        """Adds the items with the largest sum of weights from the history."""
        return answer(self, queries, slates)

    def score_all(self, queries: Queries) -> Scores:
        """(B, I) sums over the history's distinct items; -inf where none of them has a weight."""
        scores_BR = (interactions(queries.history, self.rows) @ self.weights).toarray()
        scores_BR[scores_BR == 0] = -np.inf
        return self.rows.spread(scores_BR, queries.allowed.size)

    def because(self, queries: Queries, slates: Slates) -> Codes:
        """(N,) the history item with the largest weight to each candidate."""
        return strongest(queries, slates, self._shares)

    def state(self) -> State:
        """The weights as a sparse matrix and the codes of its rows."""
        tensors = {
            "codes": self.rows.codes,
            "weights": self.weights.data,
            "columns": self.weights.indices,
            "offsets": self.weights.indptr,
        }
        return State(tensors)

    def _shares(self, history: Codes, candidates: Codes) -> Array:
        shares = np.zeros((len(history), len(candidates)), np.float32)
        from_rows, to_rows = self.rows.of(history), self.rows.of(candidates)
        near, known = np.flatnonzero(from_rows >= 0), np.flatnonzero(to_rows >= 0)
        shares[np.ix_(near, known)] = self.weights[from_rows[near]][:, to_rows[known]].toarray()
        return shares


def nearest(
    histories: RaggedTable, rows: Rows, alike: Alike, count: int, weights_U: Floats | None = None
) -> sparse.csr_matrix:
    """(R, R) how alike history item (row) and candidate (column) are, `count` nearest per candidate.

    What two items share is the number of users who touched both, each counted with its weight if given.
    No item is its own neighbour, what shares nothing is none, and ties go to the lower row.
    """
    search = _densely if len(rows) <= DENSE_ITEMS else _sparsely
    found = list(search(histories, rows, alike, count, weights_U))
    values, froms, tos = (
        (np.concatenate(part) for part in zip(*found, strict=True)) if found else ([], [], [])
    )
    shape = (len(rows), len(rows))
    return sparse.csr_matrix((np.asarray(values, np.float32), (froms, tos)), shape=shape)


def _densely(
    histories: RaggedTable, rows: Rows, alike: Alike, count: int, weights_U: Floats | None
) -> Iterator[tuple[Array, Array, Array]]:
    """Values, history rows and candidate rows, from the matrix of all pairs."""
    shared_RR, every = gram(histories, rows, weights_U), np.arange(len(rows))
    np.fill_diagonal(shared_RR, 0)
    step = max(1, CHUNK_CELLS // max(1, len(rows)))
    for start in range(0, len(rows), step):
        chunk = every[start : start + step]
        shared_CR = shared_RR[chunk]
        alike_CR = np.where(shared_CR > 0, alike(shared_CR, every, chunk[:, None]), np.float32(-np.inf))
        near = top(alike_CR, count)
        yield near.scores, near.items, chunk[near.rows()]


def _sparsely(
    histories: RaggedTable, rows: Rows, alike: Alike, count: int, weights_U: Floats | None
) -> Iterator[tuple[Array, Array, Array]]:
    """The same from the pairs that occur, so that memory grows with neighbours, not with items squared."""
    touched_UR = interactions(histories, rows)
    lengths = np.diff(touched_UR.indptr)
    items_RU = touched_UR.T.tocsr()
    if weights_U is not None:
        touched_UR.data *= np.repeat(weights_U, lengths)
    for chunk in _chunks(items_RU, lengths):
        shared_CR = (items_RU[chunk] @ touched_UR).tocsr()
        shared_CR.sort_indices()
        candidates = chunk[np.repeat(np.arange(len(chunk)), np.diff(shared_CR.indptr))]
        shared_CR.data = alike(shared_CR.data, shared_CR.indices, candidates).astype(np.float32)
        shared_CR.data[shared_CR.indices == candidates] = -np.inf
        kept = largest(shared_CR, count)
        yield shared_CR.data[kept], shared_CR.indices[kept], candidates[kept]


def _chunks(items_RU: sparse.csr_matrix, lengths: Array) -> Iterator[Array]:
    """Rows in groups whose similarities, padded to the longest row, fit into `CHUNK_CELLS`."""
    reach = np.minimum(items_RU.astype(bool) @ lengths, items_RU.shape[0])
    order = np.argsort(reach, kind="stable")
    start = 0
    for place, row in enumerate(order):
        if (place - start + 1) * reach[row] > CHUNK_CELLS and place > start:
            yield order[start:place]
            start = place
    if len(order):
        yield order[start:]


def largest(matrix: sparse.csr_matrix, count: int) -> Array:
    """Positions in ``matrix.data`` of the `count` largest values of every row; ties to the lower place."""
    lengths = np.diff(matrix.indptr)
    rows = np.repeat(np.arange(len(lengths)), lengths)
    padded = np.full((len(lengths), lengths.max(initial=0)), -np.inf, np.float32)
    padded[rows, np.arange(matrix.nnz) - matrix.indptr[rows]] = matrix.data
    best = top(padded, count)
    places: Array = matrix.indptr[best.rows()] + best.items
    return places
