"""What graph models share: how they learn, and what they leave behind.

Legend: B queries, D width, H distinct known items of a history, R item rows, U user rows, G = U + R.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

import msgspec
import numpy as np
import torch
from torch import Tensor, nn

from polyscene.core.answer import answer
from polyscene.core.arrays import Codes, Floats, Scores
from polyscene.core.config import kind_of
from polyscene.core.contracts import Data, Effect, Run, State
from polyscene.core.errors import BundleError
from polyscene.core.memo import remember
from polyscene.core.queries import Queries
from polyscene.core.rows import Rows
from polyscene.core.slates import Slates
from polyscene.dataset.matrix import interactions
from polyscene.nn import loop, machine
from polyscene.nn.checkpoint import identity
from polyscene.nn.pairs import PairBatch, Pairs, Touched
from polyscene.nn.products import product
from polyscene.nn.trained import Positive, Trained

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


class GraphNetwork(nn.Module, ABC):
    """A network that learns from pairs and leaves vectors behind."""

    def __init__(self, touched: Touched) -> None:
        super().__init__()
        self.touched = touched

    @abstractmethod
    def loss(self, batch: PairBatch) -> Tensor:
        """Of a batch, to be made small."""

    @abstractmethod
    def part(self) -> Neighbourly:
        """What answers with the present weights."""


class GraphModel(Trained, frozen=True, kw_only=True):
    """Base of kinds that learn from each user's items, beside each `negatives` items not touched.

    `batch_size` counts touched items. An older part lends nothing to a fit.
    """

    dim: Positive = 64
    negatives: Positive = 1
    epochs: Annotated[int, msgspec.Meta(ge=0)] = 30
    batch_size: Positive = 8192
    validate_every: Positive = 5

    @abstractmethod
    def network(self, touched: Touched, data: Data, run: Run, chance: torch.Generator) -> GraphNetwork:
        """A new one for these users and items; what is amiss with the data goes to the warnings."""

    def fit(self, data: Data, run: Run, warm: Neighbourly | None = None) -> Neighbourly:
        """Learns from every pair of the histories.

        Raises:
            ConfigError: The device does not exist, or the loss diverged.
        """
        touched, label, judge = Touched.of(data), kind_of(self), run.validate
        with machine.settled(run) as device:
            chance = torch.Generator(device).manual_seed(run.seed)
            network = self.network(touched, data, run, chance)
            self.start(network, chance)
            batches = Pairs(
                touched.cells,
                batch_size=self.batch_size,
                negatives=self.negatives,
                seed=run.seed,
                device=device,
            )
            if not batches.steps:
                run.warnings.append(f"{label}: no history has an item, so there was nothing to learn from")
            plan = self.plan(label, identity(self, data))
            validate = None if judge is None else lambda: judge(network.part())
            loop.train(network, batches, network.loss, plan, run, validate)
            return network.part()

    def load(self, state: State, run: Run) -> Neighbourly:
        """The part as it was saved; see `Neighbourly.load`."""
        return Neighbourly.load(state)


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
