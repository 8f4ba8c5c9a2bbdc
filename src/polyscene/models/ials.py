"""iALS: item factors from implicit feedback; a query's vector is solved from its history alone.

Legend: B queries, C content dimensions, D factors, I item codes, N items, R item rows of the part.
"""

from dataclasses import dataclass, replace
from typing import Annotated, ClassVar

import numpy as np
from implicit.als import AlternatingLeastSquares
from msgspec import Meta
from scipy import linalg, sparse
from threadpoolctl import threadpool_limits

from polyscene.core.answer import answer
from polyscene.core.arrays import Array, Bools, Codes, Floats, Scores
from polyscene.core.catalogue import Catalogue
from polyscene.core.config import Config
from polyscene.core.contracts import Data, Effect, Run, State, StillView, View
from polyscene.core.errors import ConfigError
from polyscene.core.queries import Queries
from polyscene.core.rows import Rows
from polyscene.core.slates import Slates
from polyscene.core.states import pack, unpack
from polyscene.dataset.matrix import interactions
from polyscene.features.content import Content, ContentSpace
from polyscene.nn.products import product

BLOCK_CELLS = 8_000_000
"""Cells of the dense query-by-item block of one fold-in step (32 MB)."""
STEPS = 6
"""Conjugate-gradient steps of a fold-in; with alpha 4 on ML-1M scores are off by 3e-5 in the mean."""

RIDGE = 10.0
"""Keeps what content tells of factors modest; content has deviation 1 in every dimension."""


class Ials(Config, frozen=True, kw_only=True, tag="ials"):
    """Factors such that a touched item scores near 1 with weight `alpha`, any other near 0 with weight 1.

    Users are not kept: a query's vector is the least-squares solution for its history, so unknown users
    and events of a second ago are ordinary. Items never touched, and queries whose history holds no touched
    item, are left unscored. ``alpha = 1`` (all cells alike) is as good as any on the validation parts of
    ML-1M and ML-100K; sparser data may want more. `l2` grows with the data's size.

    With `content` (``{}`` for its defaults) an item never touched, even one put after the fit, has the
    factors that a ridge regression of the touched items' factors on their content gives it; the fit itself
    stays as it is. Such factors are short, so such items rank low beside touched ones: `lift` multiplies
    their scores. Items without content stay unscored.

    With `people` (``{"text": []}`` for labels and numbers) a query whose history holds no touched item is
    answered from what its user says of themselves, by such a regression of users' vectors on their
    attributes. Users who say nothing stay unscored.

    Source: Hu, Koren and Volinsky (2008), fitted by the `implicit` library; content to factors as in
    Gantner et al. (2010), by least squares. The fold-in is ours: item
    factors are kept in the basis where the regularised Gram matrix is the identity and the popularity-
    weighted one diagonal; there the latter preconditions a few conjugate-gradient steps for all queries
    at once.
    """

    dim: Annotated[int, Meta(ge=1, le=4096)] = 128
    alpha: Annotated[float, Meta(ge=1)] = 1.0
    l2: Annotated[float, Meta(gt=0)] = 10.0
    epochs: Annotated[int, Meta(ge=1)] = 15
    content: Content | None = None
    people: Content | None = None
    lift: Annotated[float, Meta(gt=0)] = 1.0

    def fit(self, data: Data, run: Run, warm: "IalsPart | None" = None) -> "IalsPart":
        """Alternates between users and items, then guesses factors from content if that is asked for.

        Raises:
            DataError: An attribute named for content does not exist.
            ConfigError: The sentence encoder is not installed.
        """
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
        part = IalsPart(rows, vectors, spread, self.alpha, self._newcomers(data, rows, vectors, run))
        return replace(part, strangers=self._strangers(data, part, run))

    def load(self, state: State, run: Run) -> "IalsPart":
        """The factors as they were saved.

        Raises:
            ConfigError: There is content to read and the run has no view to read it from.
            BundleError: The content space lacks something.
        """
        tensors, newcomers = state.tensors, None
        if self.content is not None and "guess" in tensors:
            if run.view is None:
                raise ConfigError("ials: loading with content needs Run(view=...), the catalogue it is in")
            space = self.content.load(unpack(state, "space"))
            newcomers = Newcomers(space, tensors["guess"], run.view)
        strangers = None
        if self.people is not None and "people.guess" in tensors:
            if run.view is None:
                raise ConfigError("ials: loading with people needs Run(view=...), where they are told of")
            space = self.people.load(unpack(state, "people"))
            strangers = Strangers(space, tensors["people.guess"], run.view)
        rows = Rows(tensors["codes"])
        return IalsPart(rows, tensors["vectors"], tensors["spread"], self.alpha, newcomers, strangers)

    def _newcomers(self, data: Data, rows: Rows, vectors_RD: Floats, run: Run) -> "Newcomers | None":
        """How to place items by their content, if that is asked for."""
        if self.content is None:
            return None
        space = self.content.fit(data.catalogue, rows.codes, run.seed)
        guess_ED = self.lift * _regressed(space.vectors(data.catalogue, rows.codes), vectors_RD)
        return Newcomers(space, guess_ED.astype(np.float32), run.view or StillView.of(data))

    def _strangers(self, data: Data, part: "IalsPart", run: Run) -> "Strangers | None":
        """How to place users by what they say of themselves, if that is asked for."""
        if self.people is None:
            return None
        space = self.people.fit(data.people, data.users, run.seed)
        vectors_UD = part.query_vectors(Queries.of_histories(data.histories, data.size))
        guess_ED = _regressed(space.vectors(data.people, data.users), vectors_UD)
        return Strangers(space, guess_ED.astype(np.float32), run.view or StillView.of(data))


@dataclass(slots=True, eq=False)
class Newcomers:
    """Factors of items that nobody touched, from content; made once per catalogue.

    Shapes: `guess` (C + 1, D) from content and 1 to factors.
    """

    space: ContentSpace
    guess: Floats
    view: View
    _known: tuple[Catalogue | None, Codes, Floats] = (
        None,
        np.zeros(0, np.int32),
        np.zeros((0, 0), np.float32),
    )

    def vectors(self, rows: Rows) -> tuple[Codes, Floats]:
        """Codes (N,) of the items with content and without a row, and their factors (N, D)."""
        catalogue = self.view.catalogue
        if self._known[0] is not catalogue:
            codes = np.arange(catalogue.size, dtype=np.int32)
            codes = codes[rows.of(codes) < 0]
            content_NE, known_N = _with_one(self.space.vectors(catalogue, codes))
            self._known = (catalogue, codes[known_N], content_NE[known_N] @ self.guess)
        return self._known[1:]

    def state(self) -> State:
        """The space and the way from it to factors."""
        inner = pack({"space": self.space})
        return State({**inner.tensors, "guess": self.guess}, inner.meta)


@dataclass(frozen=True, slots=True, eq=False)
class Strangers:
    """Vectors of users without history. Shapes: `guess` (C + 1, D) from attributes and 1 to vectors."""

    space: ContentSpace
    guess: Floats
    view: View

    def vectors(self, users: Codes) -> tuple[Floats, Bools]:
        """(B, D) vectors, and of whom nothing is known (B,): theirs are zeros."""
        told_BE, known_B = _with_one(self.space.vectors(self.view.people, users))
        return (told_BE @ self.guess) * known_B[:, None], ~known_B

    def state(self) -> State:
        """The space and the way from it to vectors."""
        inner = pack({"people": self.space})
        return State({**inner.tensors, "people.guess": self.guess}, inner.meta)


@dataclass(frozen=True, slots=True)
class IalsPart:
    """Shapes: `vectors` (R, D) with ``vectors.T @ vectors + l2 term = I``; `spread` (D,) float32.

    `spread` is the diagonal of the popularity-weighted mean of an item's outer product.
    """

    rows: Rows
    vectors: Floats
    spread: Floats
    alpha: float
    newcomers: Newcomers | None = None
    strangers: Strangers | None = None
    effect: ClassVar[frozenset[Effect]] = frozenset({Effect.ADDS})

    def __call__(self, queries: Queries, slates: Slates) -> Slates:
        """Adds the items with the largest inner product."""
        return answer(self, queries, slates)

    def score_all(self, queries: Queries) -> Scores:
        """(B, I) inner products."""
        users_BD, strange_B = self._users(queries)
        scores_BR = users_BD @ self.vectors.T
        scores_BR[strange_B] = -np.inf
        scores_BI = self.rows.spread(scores_BR, queries.allowed.size)
        if self.newcomers is not None:
            codes, vectors_ND = self.newcomers.vectors(self.rows)
            inside = codes < queries.allowed.size
            scores_BI[:, codes[inside]] = users_BD @ vectors_ND[inside].T
            scores_BI[strange_B] = -np.inf
        return scores_BI

    def item_vectors(self) -> tuple[Codes, Floats]:
        """Codes (R,) and their vectors (R, D); after them those of items known by content alone."""
        if self.newcomers is None:
            return self.rows.codes, self.vectors
        codes, vectors_ND = self.newcomers.vectors(self.rows)
        return np.concatenate([self.rows.codes, codes]), np.concatenate([self.vectors, vectors_ND])

    def query_vectors(self, queries: Queries) -> Floats:
        """(B, D) solved from the histories; of users without one, guessed from what they say."""
        return self._users(queries)[0]

    def state(self) -> State:
        """The item vectors, their codes and what the fold-in needs."""
        tensors = {"codes": self.rows.codes, "vectors": self.vectors, "spread": self.spread}
        whole = State(tensors)
        for more in (self.newcomers, self.strangers):
            if more is not None:
                each = more.state()
                whole = State({**whole.tensors, **each.tensors}, {**whole.meta, **each.meta})
        return whole

    def _users(self, queries: Queries) -> tuple[Floats, Bools]:
        """(B, D) vectors, and of which query neither history nor user tells anything (B,)."""
        history_BR = interactions(queries.history, self.rows)
        users_BD, strange_B = self._fold_in(history_BR), np.diff(history_BR.indptr) == 0
        if self.strangers is not None and strange_B.any():
            told_bD, unknown_b = self.strangers.vectors(queries.users[strange_B])
            users_BD[strange_B] = told_bD
            strange_B[strange_B] = unknown_b
        return users_BD, strange_B

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


def _regressed(told_NC: Floats, vectors_ND: Floats) -> Array:
    """(C + 1, D) float64: what gives the vectors of those of whom something is told; a ridge regression."""
    told_NE, known_N = _with_one(told_NC)
    x_NE = told_NE[known_N].astype(np.float64)
    gram_EE = x_NE.T @ x_NE + RIDGE * np.eye(x_NE.shape[1])
    guess_ED: Array = linalg.solve(gram_EE, x_NE.T @ vectors_ND[known_N], assume_a="pos")
    return guess_ED


def _with_one(content_NC: Floats) -> tuple[Floats, Bools]:
    """(N, C + 1) content and a 1, and which items have any (N,)."""
    ones_N1 = np.ones((len(content_NC), 1), np.float32)
    known_N: Bools = np.any(content_NC, axis=1)
    return np.concatenate([content_NC, ones_N1], axis=1), known_N


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
