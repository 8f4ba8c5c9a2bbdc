"""iALS: item factors from implicit feedback; a query's vector is solved from its history alone.

Legend: A attribute values, B queries, D factors, I item codes, R item rows, U users.
"""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from implicit.als import AlternatingLeastSquares
from msgspec import Meta
from scipy import linalg, sparse
from threadpoolctl import threadpool_limits

from polyscene.core.answer import answer
from polyscene.core.arrays import Array, Codes, Floats, Scores
from polyscene.core.catalogue import Catalogue
from polyscene.core.config import Config
from polyscene.core.contracts import Data, Effect, Run, State, StillView, View
from polyscene.core.errors import ConfigError
from polyscene.core.queries import Queries
from polyscene.core.rows import Rows
from polyscene.core.slates import Slates
from polyscene.core.states import pack, unpack
from polyscene.dataset.matrix import interactions
from polyscene.features.terms import Terms, fit_terms
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

    Each value of the categories and tags named by `attributes` has factors too, as if it were a user who
    touched all items that have it, each `trust` times as surely as a user would. An item never touched
    then has the factors that its values ask for, and is scored, even if it was put after the fit. Without
    `attributes` nothing of this is done.

    Source: Hu, Koren and Volinsky (2008), fitted by the `implicit` library; attributes share the item
    factors as in collective matrix factorisation (Singh and Gordon 2008). The fold-in is ours: item
    factors are kept in the basis where the regularised Gram matrix is the identity and the popularity-
    weighted one diagonal; there the latter preconditions a few conjugate-gradient steps for all queries
    at once.
    """

    dim: Annotated[int, Meta(ge=1, le=4096)] = 128
    alpha: Annotated[float, Meta(ge=1)] = 1.0
    l2: Annotated[float, Meta(gt=0)] = 10.0
    epochs: Annotated[int, Meta(ge=1)] = 15
    attributes: tuple[str, ...] = ()
    trust: Annotated[float, Meta(ge=1)] = 1.0

    def fit(self, data: Data, run: Run, warm: "IalsPart | None" = None) -> "IalsPart":
        """Alternates between users and items.

        Raises:
            DataError: A named attribute does not exist.
        """
        rows = Rows(np.unique(data.histories["item"]))
        touched_UR = interactions(data.histories, rows)
        if not touched_UR.nnz:
            none = np.zeros((len(rows), self.dim), np.float32)
            return IalsPart(rows, none, np.zeros(self.dim, np.float32), self.alpha)
        terms = fit_terms(data.catalogue, rows.codes, (), self.attributes) if self.attributes else None
        seen_VR = touched_UR
        if terms is not None:
            seen_VR = sparse.vstack(
                [touched_UR, told(terms, data.catalogue, rows.codes, self.trust).T]
            ).tocsr()
        with threadpool_limits(1, "blas"), run.progress("ials", self.epochs) as bar:
            model = AlternatingLeastSquares(
                factors=self.dim,
                regularization=self.l2,
                alpha=self.alpha,
                iterations=self.epochs,
                num_threads=run.threads,
                random_state=run.seed,
            )
            model.fit(seen_VR, show_progress=False, callback=lambda *_: bar.advance())
        popularity = np.bincount(touched_UR.indices, minlength=len(rows))
        vectors, spread, basis = _whiten(model.item_factors.astype(np.float64), popularity, self.l2)
        cold = None
        if terms is not None:
            factors_VD = model.user_factors.astype(np.float64)
            gram_DD = factors_VD.T @ factors_VD + self.l2 * np.eye(self.dim)
            view = run.view or StillView(data.catalogue)
            cold = Cold(self, terms, factors_VD[touched_UR.shape[0] :], gram_DD, basis, view)
        return IalsPart(rows, vectors, spread, self.alpha, cold)

    def load(self, state: State, run: Run) -> "IalsPart":
        """The factors as they were saved.

        Raises:
            ConfigError: Attributes are named and the run has no view to read them from.
            BundleError: What is known of attributes is missing.
        """
        tensors, cold = state.tensors, None
        if "attributes" in tensors:
            if run.view is None:
                raise ConfigError(
                    "ials: loading with attributes needs Run(view=...), the catalogue they are in"
                )
            factors_AD, gram_DD, basis_DD = (tensors[name] for name in ("attributes", "gram", "basis"))
            terms = Terms.load(unpack(state, "terms"))
            cold = Cold(self, terms, factors_AD, gram_DD, basis_DD, run.view)
        return IalsPart(Rows(tensors["codes"]), tensors["vectors"], tensors["spread"], self.alpha, cold)


@dataclass(slots=True, eq=False)
class Cold:
    """What gives items factors that nobody touched; made once per catalogue.

    Shapes: `factors` (A, D) of the attribute values, `gram` (D, D) of all that items are solved from,
    `basis` (D, D) into the form that `Ials` keeps.
    """

    config: Ials
    terms: Terms
    factors: Array
    gram: Array
    basis: Array
    view: View
    _known: tuple[Catalogue | None, Codes, Floats] = (
        None,
        np.zeros(0, np.int32),
        np.zeros((0, 0), np.float32),
    )

    def vectors(self, rows: Rows) -> tuple[Codes, Floats]:
        """Codes (N,) of the items without a row, and the factors (N, D) that their values ask for."""
        catalogue = self.view.catalogue
        if self._known[0] is not catalogue:
            codes = np.arange(catalogue.size, dtype=np.int32)
            codes = codes[rows.of(codes) < 0]
            told_NA = told(self.terms, catalogue, codes, self.config.trust)
            codes, told_NA = codes[np.diff(told_NA.indptr) > 0], told_NA[np.diff(told_NA.indptr) > 0]
            found_ND = np.array([self._solve(told_NA[row]) for row in range(len(codes))])
            vectors_ND = found_ND.reshape(len(codes), len(self.gram)) @ self.basis
            self._known = (catalogue, codes, vectors_ND.astype(np.float32))
        return self._known[1:]

    def state(self) -> State:
        """Vocabularies and factors."""
        inner = pack({"terms": self.terms})
        tensors = {"attributes": self.factors, "gram": self.gram, "basis": self.basis}
        return State({**inner.tensors, **tensors}, inner.meta)

    def _solve(self, told_1A: sparse.csr_matrix) -> Array:
        """(D,) the factors that half a round of fitting would give."""
        factors_TD, sure_T = self.factors[told_1A.indices], self.config.alpha * told_1A.data
        gram_DD = self.gram + factors_TD.T @ ((sure_T - 1)[:, None] * factors_TD)
        solved: Array = linalg.solve(gram_DD, sure_T @ factors_TD, assume_a="pos")
        return solved


@dataclass(frozen=True, slots=True)
class IalsPart:
    """Shapes: `vectors` (R, D) with ``vectors.T @ vectors + l2 term = I``; `spread` (D,) float32.

    `spread` is the diagonal of the popularity-weighted mean of an item's outer product.
    """

    rows: Rows
    vectors: Floats
    spread: Floats
    alpha: float
    cold: Cold | None = None
    effect: ClassVar[frozenset[Effect]] = frozenset({Effect.ADDS})

    def __call__(self, queries: Queries, slates: Slates) -> Slates:
        """Adds the items with the largest inner product."""
        return answer(self, queries, slates)

    def score_all(self, queries: Queries) -> Scores:
        """(B, I) inner products."""
        history_BR = interactions(queries.history, self.rows)
        users_BD, strange_B = self._fold_in(history_BR), np.diff(history_BR.indptr) == 0
        scores_BR = users_BD @ self.vectors.T
        scores_BR[strange_B] = -np.inf
        scores_BI = self.rows.spread(scores_BR, queries.allowed.size)
        if self.cold is not None:
            codes, vectors_ND = self.cold.vectors(self.rows)
            inside = codes < queries.allowed.size
            scores_BI[:, codes[inside]] = users_BD @ vectors_ND[inside].T
            scores_BI[strange_B] = -np.inf
        return scores_BI

    def item_vectors(self) -> tuple[Codes, Floats]:
        """Codes (R,) and their vectors (R, D); after them the items known by their attributes alone."""
        if self.cold is None:
            return self.rows.codes, self.vectors
        codes, vectors_ND = self.cold.vectors(self.rows)
        return np.concatenate([self.rows.codes, codes]), np.concatenate([self.vectors, vectors_ND])

    def query_vectors(self, queries: Queries) -> Floats:
        """(B, D) solved from the histories."""
        return self._fold_in(interactions(queries.history, self.rows))

    def state(self) -> State:
        """The item vectors, their codes and what the fold-in needs."""
        more = State() if self.cold is None else self.cold.state()
        tensors = {"codes": self.rows.codes, "vectors": self.vectors, "spread": self.spread}
        return State({**more.tensors, **tensors}, more.meta)

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


def told(terms: Terms, catalogue: Catalogue, codes: Codes, trust: float) -> sparse.csr_matrix:
    """(N, A) `trust` where an item has an attribute value, else nothing."""
    told_NA = terms(catalogue, codes)
    told_NA.data = np.full_like(told_NA.data, trust)
    return told_NA


def _dots(left_BD: Floats, right_BD: Floats) -> Floats:
    """(B, 1) inner product of each pair of rows."""
    dots: Floats = np.einsum("bd,bd->b", left_BD, right_BD)[:, None]
    return dots


def _whiten(factors_RD: Array, popularity: Array, l2: float) -> tuple[Floats, Floats, Array]:
    """The factors in the basis that `Ials` describes, the popularity-weighted diagonal there, the basis."""
    gram = factors_RD.T @ factors_RD + l2 * np.eye(factors_RD.shape[1])
    weighted = (factors_RD.T * (popularity / popularity.sum())) @ factors_RD
    spread, basis = linalg.eigh(weighted, gram)
    return (factors_RD @ basis).astype(np.float32), spread.astype(np.float32), basis
