"""Reciprocal rank fusion: models that can't agree on a scale still agree on an order."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import msgspec
import numpy as np

from polyscene.core.answer import answer
from polyscene.core.arrays import Scores
from polyscene.core.config import Config
from polyscene.core.contracts import Data, Effect, Run, State
from polyscene.core.queries import Queries
from polyscene.core.slates import Slates, top
from polyscene.rank.held_out import default
from polyscene.rank.members import Scorer, check_members, fit_members, load_members, pack_members


class Rrf(Config, frozen=True, kw_only=True, tag="rrf"):
    """Scores an item by the sum of 1 / (k + its place) over the members.

    Places count from 1 among all items that a member scores; one beyond `depth`, or that a member can't
    score, adds nothing. A larger `k` makes the first places less decisive. Nothing is tuned.

    Source: Cormack, Clarke and Büttcher 2009.
    """

    of: tuple[Config, ...] = msgspec.field(default_factory=default)
    k: Annotated[float, msgspec.Meta(ge=0)] = 60.0
    depth: Annotated[int, msgspec.Meta(ge=1)] = 1000

    def __post_init__(self) -> None:
        check_members(self.of, "rrf")

    def fit(self, data: Data, run: Run, warm: "RrfPart | None" = None) -> "RrfPart":
        """Every member fitted on the same data, `warm` lending its own.

        Raises:
            ConfigError: A member can't score a given item, or its own fit refuses.
        """
        older = tuple(zip(warm.config.of, warm.members, strict=True)) if warm else ()
        return RrfPart(self, fit_members(self.of, data, run, older))

    def load(self, state: State, run: Run) -> "RrfPart":
        """The part as it was saved. Raises BundleError when a tensor is missing."""
        return RrfPart(self, load_members(self.of, state, run))


@dataclass(frozen=True, slots=True)
class RrfPart:
    """The fitted members."""

    config: Rrf
    members: tuple[Scorer, ...]
    effect: ClassVar[frozenset[Effect]] = frozenset({Effect.ADDS})

    def __call__(self, queries: Queries, slates: Slates) -> Slates:
        """Adds the items with the highest sum."""
        return answer(self, queries, slates)

    def score_all(self, queries: Queries) -> Scores:
        """(B, I) sums; -inf where no member scores the item."""
        shape = (len(queries), queries.allowed.size)
        sums_BI, known_BI = np.zeros(shape, np.float32), np.zeros(shape, bool)
        for member in self.members:
            scores_BI = member.score_all(queries)
            known_BI |= scores_BI > -np.inf
            best = top(scores_BI, self.config.depth)
            sums_BI[best.rows(), best.items] += 1.0 / (self.config.k + 1.0 + best.ranks())
        sums_BI[~known_BI] = -np.inf
        return sums_BI

    def state(self) -> State:
        """The members' states, each under its place."""
        return pack_members(self.members)
