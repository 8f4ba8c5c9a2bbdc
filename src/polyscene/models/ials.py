"""iALS: item factors from implicit feedback; a query's vector is solved from its history alone."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from implicit.als import AlternatingLeastSquares
from msgspec import Meta
from scipy import linalg, sparse
from threadpoolctl import threadpool_limits

from polyscene.core.answer import answer
from polyscene.core.arrays import Array, Codes, Floats, Scores
from polyscene.core.config import Config
from polyscene.core.contracts import Data, Effect, Run, State
from polyscene.core.queries import Queries
from polyscene.core.rows import Rows
from polyscene.core.slates import Slates
from polyscene.dataset.matrix import interactions
from polyscene.nn.products import product

BLOCK_CELLS = 8_000_000
"""Cells of the dense query-by-item block of one fold-in step (32 MB)."""
STEPS = 6
"""Conjugate-gradient steps of a fold-in; with alpha 4 on ML-1M scores are off by 3e-5 in the mean."""


class Ials(Config, frozen=True, kw_only=True, tag="ials"):
    """Factors such that a touched item scores near 1 with weight `alpha`, any other near 0 with weight 1.

    Users are not kept: a query's vector is the least-squares solution for its history, so unknown users
    and events of a second ago are ordinary. Items never touched, and queries whose history holds no touched
    item, are left unscored. ``alpha = 1`` (all cells alike) is as good as any on the validation parts of
    ML-1M and ML-100K; sparser data may want more. `l2` grows with the data's size.

    Source: Hu, Koren and Volinsky (2008), fitted by the `implicit` library. The fold-in is ours: item
    factors are kept in the basis where the regularised Gram matrix is the identity and the popularity-
    weighted one diagonal; there the latter preconditions a few conjugate-gradient steps for all queries
    at once.
    """

    dim: Annotated[int, Meta(ge=1, le=4096)] = 128
    alpha: Annotated[float, Meta(ge=1)] = 1.0
    l2: Annotated[float, Meta(gt=0)] = 10.0
    epochs: Annotated[int, Meta(ge=1)] = 15

    def fit(self, data: Data, run: Run, warm: "IalsPart | None" = None) -> "IalsPart":
        """Alternates between users and items."""
        rows = Rows(np.unique(data.histories["item"]))
        touched_UR = interactions(data.histories, rows)
        if not touched_UR.nnz:
            none = np.zeros((len(rows), self.dim), np.float32)
            return IalsPart(rows, none, np.zeros(self.dim, np.float32), self.alpha)
        with threadpool_limits(1, "blas"), run.progress("ials", self.epochs) as bar:
            model = AlternatingLeastSquares(
                factors=self.dim,
                regularization=self.l2,
                alpha=self.alpha,
                iterations=self.epochs,
                num_threads=run.threads,
                random_state=run.seed,
            )
            model.fit(touched_UR, show_progress=False, callback=lambda *_: bar.advance())
        popularity = np.bincount(touched_UR.indices, minlength=len(rows))
        vectors, spread = _whiten(model.item_factors.astype(np.float64), popularity, self.l2)
        return IalsPart(rows, vectors, spread, self.alpha)

    def load(self, state: State, run: Run) -> "IalsPart":
        """The factors as they were saved."""
        tensors = state.tensors
        return IalsPart(Rows(tensors["codes"]), tensors["vectors"], tensors["spread"], self.alpha)


@dataclass(frozen=True, slots=True)
class IalsPart:
    """Shapes: `vectors` (R, D) with ``vectors.T @ vectors + l2 term = I``; `spread` (D,) float32.

    `spread` is the diagonal of the popularity-weighted mean of an item's outer product.
    """

    rows: Rows
    vectors: Floats
    spread: Floats
    alpha: float
    effect: ClassVar[frozenset[Effect]] = frozenset({Effect.ADDS})

    def __call__(self, queries: Queries, slates: Slates) -> Slates:
        """Adds the items with the largest inner product."""
        return answer(self, queries, slates)

    def score_all(self, queries: Queries) -> Scores:
        """(B, I) inner products."""
        history_BR = interactions(queries.history, self.rows)
        scores_BR = self._fold_in(history_BR) @ self.vectors.T
        scores_BR[np.diff(history_BR.indptr) == 0] = -np.inf
        return self.rows.spread(scores_BR, queries.allowed.size)

    def item_vectors(self) -> tuple[Codes, Floats]:
        """Codes (R,) and their vectors (R, D)."""
        return self.rows.codes, self.vectors

    def query_vectors(self, queries: Queries) -> Floats:
        """(B, D) solved from the histories."""
        return self._fold_in(interactions(queries.history, self.rows))

    def state(self) -> State:
        """The item vectors, their codes and what the fold-in needs."""
        return State({"codes": self.rows.codes, "vectors": self.vectors, "spread": self.spread})

    def _fold_in(self, history_BR: sparse.csr_matrix) -> Floats:
        folded = np.empty((history_BR.shape[0], self.vectors.shape[1]), np.float32)
        step = max(1, BLOCK_CELLS // max(1, len(self.rows)))
        for start in range(0, len(folded), step):
            block = history_BR[start : start + step]
            used, columns = np.unique(block.indices, return_inverse=True)
            narrow = sparse.csr_matrix((block.data, columns, block.indptr), (block.shape[0], len(used)))
            folded[start : start + step] = self._solve(narrow, self.vectors[used])
        return folded

    def _solve(self, history_BJ: sparse.csr_matrix, vectors_JD: Floats) -> Floats:
        """(B, D) solutions of ``(I + (alpha - 1) V'V) x = alpha V'1``, V the vectors of a history."""
        excess = np.float32(self.alpha - 1)
        if not excess:
            return product(history_BJ, vectors_JD)
        lengths = np.diff(history_BJ.indptr)
        cells = np.repeat(np.arange(len(lengths)), lengths) * history_BJ.shape[1] + history_BJ.indices
        damping = 1 / (1 + excess * lengths[:, None].astype(np.float32) * self.spread)
        rest = np.float32(self.alpha) * product(history_BJ, vectors_JD)
        found = np.zeros_like(rest)
        move = scaled = damping * rest
        size = _dots(rest, scaled)
        for _ in range(STEPS):
            felt = sparse.csr_matrix(history_BJ, copy=True)
            felt.data = (move @ vectors_JD.T).ravel()[cells]
            pushed = move + excess * product(felt, vectors_JD)
            stride = size / np.maximum(_dots(move, pushed), np.finfo(np.float32).tiny)
            found += stride * move
            rest = rest - stride * pushed
            scaled = damping * rest
            before, size = size, _dots(rest, scaled)
            move = scaled + size / np.maximum(before, np.finfo(np.float32).tiny) * move
        return found


def _dots(left_BD: Floats, right_BD: Floats) -> Floats:
    """(B, 1) inner product of each pair of rows."""
    dots: Floats = np.einsum("bd,bd->b", left_BD, right_BD)[:, None]
    return dots


def _whiten(factors_RD: Array, popularity: Array, l2: float) -> tuple[Floats, Floats]:
    """The factors in the basis that `Ials` describes, and the popularity-weighted diagonal there."""
    gram = factors_RD.T @ factors_RD + l2 * np.eye(factors_RD.shape[1])
    weighted = (factors_RD.T * (popularity / popularity.sum())) @ factors_RD
    spread, basis = linalg.eigh(weighted, gram)
    return (factors_RD @ basis).astype(np.float32), spread.astype(np.float32)
