"""What graph models leave behind: items, what each says of who touched it, and rows of known people.

Legend: B queries, D width, H distinct known items of a history, R item rows, U user rows, G = U + R.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from torch import Tensor

from polyscene.core.answer import answer
from polyscene.core.arrays import Codes, Floats, Scores
from polyscene.core.contracts import Effect, State
from polyscene.core.errors import BundleError
from polyscene.core.memo import remember
from polyscene.core.queries import Queries
from polyscene.core.rows import Rows
from polyscene.core.slates import Slates
from polyscene.dataset.matrix import interactions
from polyscene.nn.pairs import Touched
from polyscene.nn.products import product

TENSORS = ("codes", "items", "words", "prior")


@dataclass(frozen=True, slots=True, eq=False)
class People:
    """What is known of users beyond their histories.

    Shapes: `rows` of their codes; `own` (U, D) added to what the history says; `taste` (U, D) multiplies
    it before. `stranger` (D,): the taste of everyone else, whose own is zero.
    """

    rows: Rows
    own: Floats
    taste: Floats | None = None
    stranger: Floats | None = None

    def meet(self, users: Codes, said_BD: Floats) -> Floats:
        """(B, D) user vectors from what their histories say."""
        row_B = self.rows.of(users)
        known = row_B >= 0
        if self.taste is not None and self.stranger is not None:
            tastes_BD = np.repeat(self.stranger[None], len(users), 0)
            tastes_BD[known] = self.taste[row_B[known]]
            said_BD = said_BD * tastes_BD
        else:
            said_BD = said_BD.copy()
        said_BD[known] += self.own[row_B[known]]
        return said_BD


@dataclass(frozen=True, slots=True, eq=False)
class Neighbourly:
    """A fitted graph model: a user is what the items of the history at hand say, summed over H ** `share`.

    Shapes: `items` (R, D) what users are compared with; `words` (R, D) what each item says of a user who
    touched it; `prior` (R,) log share of interactions, the answer where nothing is known.
    """

    rows: Rows
    items: Floats
    words: Floats
    prior: Floats
    share: float
    people: People | None = None
    effect: ClassVar[frozenset[Effect]] = frozenset({Effect.ADDS})

    def __call__(self, queries: Queries, slates: Slates) -> Slates:
        """Adds the items nearest to each user's vector."""
        return answer(self, queries, slates)

    def score_all(self, queries: Queries) -> Scores:
        """(B, I) inner products; the prior for who has no vector; -inf for codes not in the training."""
        vectors_BD = self.encode(queries)
        scores_BR: Scores = vectors_BD @ self.items.T
        scores_BR[~vectors_BD.any(1)] = self.prior
        return self.rows.spread(scores_BR, queries.allowed.size)

    def item_vectors(self) -> tuple[Codes, Floats]:
        """Codes (R,) of the items in the training events, and their vectors (R, D)."""
        return self.rows.codes, self.items

    def query_vectors(self, queries: Queries) -> Floats:
        """(B, D) user vectors; zeros where neither the history nor the user is known."""
        return self.encode(queries)

    def encode(self, queries: Queries) -> Floats:
        """See `Encodes.encode`: the user vectors."""
        vectors_BD: Floats = remember(self, queries, lambda: self._encode(queries))
        return vectors_BD

    def state(self) -> State:
        """Every array; the exponent is meta."""
        tensors = {"codes": self.rows.codes, "items": self.items, "words": self.words, "prior": self.prior}
        if self.people is not None:
            tensors |= {"people.codes": self.people.rows.codes, "people.own": self.people.own}
            if self.people.taste is not None and self.people.stranger is not None:
                tensors |= {"people.taste": self.people.taste, "people.stranger": self.people.stranger}
        return State(tensors, {"share": self.share})

    @classmethod
    def load(cls, state: State) -> "Neighbourly":
        """The part whose state this is.

        Raises:
            BundleError: A tensor is missing.
        """
        held = state.tensors
        for name in TENSORS:
            if name not in held:
                raise BundleError(f"tensor {name!r} is missing from the bundle; fit the model again")
        people = None
        if "people.codes" in held:
            people = People(
                Rows(held["people.codes"]),
                held["people.own"],
                held.get("people.taste"),
                held.get("people.stranger"),
            )
        rows, share = Rows(held["codes"]), float(state.meta["share"])
        return cls(rows, held["items"], held["words"], held["prior"], share, people)

    def _encode(self, queries: Queries) -> Floats:
        histories_BR = interactions(queries.history, self.rows)
        counts_B = np.maximum(np.diff(histories_BR.indptr), 1).astype(np.float32)
        said_BD = product(histories_BR, self.words) / (counts_B**self.share)[:, None]
        return said_BD if self.people is None else self.people.meet(queries.users, said_BD)


def of_layers(touched: Touched, layers_GD: Sequence[Tensor], *, first: bool) -> Neighbourly:
    """The part of a graph whose vectors are the mean of layers, each `balanced` from the one before.

    A user's layer is what the layer before says at their items, so all but the first follow from a history.
    `first`: whether that counts too; then known users keep theirs, and it is zero for others.
    """
    users, counted = len(touched.users), len(layers_GD) - (not first)
    held: list[Floats] = [layer_GD.detach().cpu().numpy() for layer_GD in layers_GD]
    items_RD: Floats = np.sum([layer[users:] for layer in held[len(held) - counted :]], axis=0)
    words_RD: Floats = np.sum([layer[users:] for layer in held[:-1]], axis=0)
    degrees_R = np.maximum(np.bincount(touched.cells.indices, minlength=len(touched.items)), 1)
    words_RD /= np.sqrt(degrees_R)[:, None]
    share = np.float32(1 / counted)
    return Neighbourly(
        rows=touched.items,
        items=items_RD * share,
        words=words_RD * share,
        prior=touched.prior,
        share=0.5,
        people=People(touched.users, held[0][:users] * share) if first else None,
    )
