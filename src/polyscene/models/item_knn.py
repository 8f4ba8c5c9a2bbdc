"""Item neighbours: an item is scored by how alike it is to the items of the history."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np
from msgspec import Meta
from scipy import sparse

from polyscene.core.answer import answer
from polyscene.core.arrays import Array, Codes, Floats, Scores
from polyscene.core.config import Config
from polyscene.core.contracts import Data, Effect, Progress, Run, State
from polyscene.core.queries import Queries
from polyscene.core.reasons import strongest
from polyscene.core.rows import Rows
from polyscene.core.slates import Slates, top
from polyscene.dataset.matrix import interactions

CHUNK_CELLS = 8_000_000
"""Similarities held at once while neighbours are chosen (32 MB)."""


class ItemKnn(Config, frozen=True, kw_only=True, tag="item_knn"):
    """Scores an item by the summed similarity of its nearest neighbours among the history's items.

    ``cosine``: shared users over (root of the product of both counts + `shrink`). ``bm25``: the product of
    BM25 weights, where a user's history is a document, `b` its length's say and `k1` its saturation; not
    normalised, so `shrink` plays no part. Each item keeps its `neighbours` most similar ones. What has no
    neighbour in the history is left unscored. Sparse throughout: memory grows with items times neighbours.

    Source: Sarwar et al. (2001) with the shrink term of Bell and Koren (2007); BM25 weights as in the
    `implicit` library, though neighbours are kept per candidate here, per history item there.
    """

    similarity: Literal["cosine", "bm25"] = "cosine"
    neighbours: Annotated[int, Meta(ge=1)] = 50
    shrink: Annotated[float, Meta(ge=0)] = 20.0
    k1: Annotated[float, Meta(gt=0)] = 1.2
    b: Annotated[float, Meta(ge=0, le=1)] = 0.75

    def fit(self, data: Data, run: Run, warm: "ItemKnnPart | None" = None) -> "ItemKnnPart":
        """Finds every item's neighbours."""
        rows = Rows(np.unique(data.histories["item"]))
        weights_UR = interactions(data.histories, rows)
        if self.similarity == "bm25":
            weights_UR.data *= self._bm25(weights_UR)
        return ItemKnnPart(rows, self._neighbours(weights_UR, run.progress))

    def load(self, state: State, run: Run) -> "ItemKnnPart":
        """The neighbours as they were saved."""
        rows = Rows(state.tensors["codes"])
        parts = (state.tensors["similarities"], state.tensors["columns"], state.tensors["offsets"])
        return ItemKnnPart(rows, sparse.csr_matrix(parts, shape=(len(rows), len(rows))))

    def _bm25(self, seen_UR: sparse.csr_matrix) -> Floats:
        """(nnz,) weight of each interaction."""
        lengths = np.diff(seen_UR.indptr)
        saturation = self.k1 * (1 - self.b + self.b * lengths / max(1e-9, lengths.mean()))
        rarity = np.log1p(len(lengths) / (1.0 + np.bincount(seen_UR.indices, minlength=seen_UR.shape[1])))
        per_user = np.repeat((self.k1 + 1) / (saturation + 1), lengths)
        weights: Floats = (per_user * rarity[seen_UR.indices]).astype(np.float32)
        return weights

    def _neighbours(self, weights_UR: sparse.csr_matrix, progress: Progress) -> sparse.csr_matrix:
        """(R, R) similarity of history item (row) to candidate (column), each column its nearest only."""
        items_RU = weights_UR.T.tocsr()
        norms = np.sqrt(items_RU.multiply(items_RU).sum(axis=1).A1)
        found: list[tuple[Array, Array, Array]] = []
        with progress("item_knn", len(norms)) as bar:
            for chunk in _chunks(items_RU, np.diff(weights_UR.indptr)):
                alike = (items_RU[chunk] @ weights_UR).tocsr()
                candidates = np.repeat(np.arange(len(chunk)), np.diff(alike.indptr))
                if self.similarity == "cosine":
                    alike.data /= norms[chunk][candidates] * norms[alike.indices] + self.shrink
                alike.data[alike.indices == chunk[candidates]] = -np.inf
                kept = _largest(alike, self.neighbours)
                found.append((alike.data[kept], alike.indices[kept], chunk[candidates[kept]]))
                bar.advance(len(chunk))
        data, froms, tos = (
            (np.concatenate(part) for part in zip(*found, strict=True)) if found else ([], [], [])
        )
        shape = (len(norms), len(norms))
        return sparse.csr_matrix((np.asarray(data, np.float32), (froms, tos)), shape=shape)


@dataclass(frozen=True, slots=True)
class ItemKnnPart:
    """Shapes: `similarities` (R, R) sparse, of history item (row) to candidate (column)."""

    rows: Rows
    similarities: sparse.csr_matrix
    effect: ClassVar[frozenset[Effect]] = frozenset({Effect.ADDS})

    def __call__(self, queries: Queries, slates: Slates) -> Slates:
        """Adds the items most alike to the history."""
        return answer(self, queries, slates)

    def score_all(self, queries: Queries) -> Scores:
        """(B, I) summed similarities; -inf where no history item is a neighbour."""
        scores_BR = (interactions(queries.history, self.rows) @ self.similarities).toarray()
        scores_BR[scores_BR == 0] = -np.inf
        return self.rows.spread(scores_BR, queries.allowed.size)

    def because(self, queries: Queries, slates: Slates) -> Codes:
        """(N,) the history item most alike to each candidate."""
        return strongest(queries, slates, self._shares)

    def state(self) -> State:
        """The similarities as a sparse matrix and the codes of its rows."""
        tensors = {
            "codes": self.rows.codes,
            "similarities": self.similarities.data,
            "columns": self.similarities.indices,
            "offsets": self.similarities.indptr,
        }
        return State(tensors)

    def _shares(self, history: Codes, candidates: Codes) -> Array:
        shares = np.zeros((len(history), len(candidates)), np.float32)
        from_rows, to_rows = self.rows.of(history), self.rows.of(candidates)
        near, known = np.flatnonzero(from_rows >= 0), np.flatnonzero(to_rows >= 0)
        alike = self.similarities[from_rows[near]][:, to_rows[known]]
        shares[np.ix_(near, known)] = alike.toarray()
        return shares


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


def _largest(matrix: sparse.csr_matrix, count: int) -> Array:
    """Positions in ``matrix.data`` of the `count` largest values of every row; ties to the lower column."""
    matrix.sort_indices()
    lengths = np.diff(matrix.indptr)
    rows = np.repeat(np.arange(len(lengths)), lengths)
    padded = np.full((len(lengths), lengths.max(initial=0)), -np.inf, np.float32)
    padded[rows, np.arange(matrix.nnz) - matrix.indptr[rows]] = matrix.data
    best = top(padded, count)
    places: Array = matrix.indptr[best.rows()] + best.items
    return places
