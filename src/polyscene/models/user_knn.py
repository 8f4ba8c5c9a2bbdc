"""User neighbours: what people with a like history touched."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np
from msgspec import Meta
from scipy import sparse

from polyscene.core.answer import answer
from polyscene.core.arrays import Array, Scores
from polyscene.core.config import Config
from polyscene.core.contracts import Data, Effect, Run, State
from polyscene.core.queries import Queries
from polyscene.core.rows import Rows
from polyscene.core.slates import Slates, top
from polyscene.dataset.matrix import interactions
from polyscene.nn.products import product

BLOCK_CELLS = 8_000_000
"""Similarities of queries to users held at once (32 MB)."""


class UserKnn(Config, frozen=True, kw_only=True, tag="user_knn"):
    """Scores an item by the summed similarity of the nearest training users who touched it.

    Neighbours are found from the query's history, so unknown users are ordinary; a known one may find
    their own training row, which only speaks for what they have seen. ``cosine``: shared items over (root
    of the product of both lengths + `shrink`). ``bm25``: the history searched as a query among users as
    documents. Holds a row per training user: forgetting one needs a refit. What no neighbour touched is
    left unscored.

    Source: Herlocker et al. (1999) on unary data; BM25 after Robertson and Zaragoza (2009).
    """

    similarity: Literal["cosine", "bm25"] = "cosine"
    neighbours: Annotated[int, Meta(ge=1)] = 200
    shrink: Annotated[float, Meta(ge=0)] = 0.0
    k1: Annotated[float, Meta(gt=0)] = 1.2
    b: Annotated[float, Meta(ge=0, le=1)] = 0.75

    def fit(self, data: Data, run: Run, warm: "UserKnnPart | None" = None) -> "UserKnnPart":
        """Keeps who touched what."""
        rows = Rows(np.unique(data.histories["item"]))
        return UserKnnPart(self, rows, interactions(data.histories, rows))

    def load(self, state: State, run: Run) -> "UserKnnPart":
        """The histories as they were saved."""
        rows, columns = Rows(state.tensors["codes"]), state.tensors["columns"]
        offsets = state.tensors["offsets"]
        parts = (np.ones(len(columns), np.float32), columns, offsets)
        return UserKnnPart(self, rows, sparse.csr_matrix(parts, shape=(len(offsets) - 1, len(rows))))


@dataclass(frozen=True, slots=True)
class UserKnnPart:
    """Shapes: `touched` (U, R) sparse ones."""

    config: UserKnn
    rows: Rows
    touched: sparse.csr_matrix
    effect: ClassVar[frozenset[Effect]] = frozenset({Effect.ADDS})

    def __call__(self, queries: Queries, slates: Slates) -> Slates:
        """Adds what the nearest users touched."""
        return answer(self, queries, slates)

    def score_all(self, queries: Queries) -> Scores:
        """(B, I) summed similarities of the neighbours; -inf where none touched the item."""
        scores_BR = np.empty((len(queries), len(self.rows)), np.float32)
        history_BR = interactions(queries.history, self.rows)
        step = max(1, BLOCK_CELLS // max(1, self.touched.shape[0]))
        for start in range(0, len(queries), step):
            block = slice(start, start + step)
            scores_BR[block] = (self._neighbours(history_BR[block]) @ self.touched).toarray()
        scores_BR[scores_BR == 0] = -np.inf
        return self.rows.spread(scores_BR, queries.allowed.size)

    def state(self) -> State:
        """The histories as item rows, without the users' codes."""
        tensors = {
            "codes": self.rows.codes,
            "columns": self.touched.indices,
            "offsets": self.touched.indptr,
        }
        return State(tensors)

    def _neighbours(self, history_BR: sparse.csr_matrix) -> sparse.csr_matrix:
        """(B, U) similarities of the nearest users only."""
        alike_UB: Array
        if self.config.similarity == "cosine":
            shared_UB = product(self.touched, history_BR.T.toarray())
            longest = np.sqrt(np.outer(self._lengths(), np.diff(history_BR.indptr))) + self.config.shrink
            alike_UB = shared_UB / np.maximum(longest, 1e-9)
        else:
            touched = np.bincount(self.touched.indices, minlength=len(self.rows))
            rarity = np.log1p(self.touched.shape[0] / (1.0 + touched)).astype(np.float32)
            alike_UB = product(self.touched, history_BR.multiply(rarity).T.toarray())
            alike_UB *= self._saturation()[:, None]
        alike_BU = alike_UB.T.astype(np.float32)
        alike_BU[alike_BU <= 0] = -np.inf
        near = top(alike_BU, self.config.neighbours)
        shape = (history_BR.shape[0], self.touched.shape[0])
        return sparse.csr_matrix((near.scores, near.items, near.offsets), shape=shape)

    def _lengths(self) -> Array:
        lengths: Array = np.diff(self.touched.indptr)
        return lengths

    def _saturation(self) -> Array:
        """(U,) how much one match in each user's history is worth."""
        lengths, config = self._lengths(), self.config
        spread = 1 - config.b + config.b * lengths / max(1e-9, lengths.mean())
        worth: Array = ((config.k1 + 1) / (config.k1 * spread + 1)).astype(np.float32)
        return worth
