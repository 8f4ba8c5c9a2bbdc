"""Uniform chance: the floor that every other model must beat, and a source for exploration."""

from typing import ClassVar

import numpy as np

from polyscene.core.answer import answer
from polyscene.core.arrays import Scores
from polyscene.core.config import Config
from polyscene.core.contracts import Data, Effect, Run, State
from polyscene.core.queries import Queries
from polyscene.core.seeds import uniform
from polyscene.core.slates import Slates


class Random(Config, frozen=True, kw_only=True, tag="random"):
    """Every item equally likely; an order per query seed, so an answer can be replayed.

    Source: none needed; the chance is SplitMix64 over (seed, code).
    """

    def fit(self, data: Data, run: Run, warm: "RandomPart | None" = None) -> "RandomPart":
        """Nothing is learned."""
        return RandomPart()

    def load(self, state: State, run: Run) -> "RandomPart":
        """Nothing was saved."""
        return RandomPart()


class RandomPart:
    """Scores every code, also those put after the fit, by hash(seed, code)."""

    effect: ClassVar[frozenset[Effect]] = frozenset({Effect.ADDS})

    def __call__(self, queries: Queries, slates: Slates) -> Slates:
        """Adds ``queries.wanted`` items drawn without repeats."""
        return answer(self, queries, slates)

    def score_all(self, queries: Queries) -> Scores:
        """(B, I) numbers in [0, 1)."""
        return uniform(queries.seeds[:, None], np.arange(queries.allowed.size)[None]).astype(np.float32)

    def state(self) -> State:
        """Empty."""
        return State()
