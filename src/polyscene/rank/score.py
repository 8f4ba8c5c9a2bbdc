"""Candidates scored anew by one model."""

from typing import Any, ClassVar

import numpy as np

from polyscene.core.config import Config, kind_of
from polyscene.core.contracts import Data, Effect, Run, ScoresAll, State
from polyscene.core.errors import ConfigError
from polyscene.core.queries import Queries
from polyscene.core.slates import Slates
from polyscene.rank.members import trainable


class Score(Config, frozen=True, kw_only=True, tag="score"):
    """The candidates in the order of a model's scores; those it can't score follow in their old order.

    Source: none; the second stage of a cascade.
    """

    model: Config

    def fit(self, data: Data, run: Run, warm: "ScorePart | None" = None) -> "ScorePart":
        """The model fitted. Raises ConfigError when it can't score every item."""
        return self._part(trainable(self.model).fit(data, run, warm.model if warm else None))

    def load(self, state: State, run: Run) -> "ScorePart":
        """The model loaded."""
        return self._part(trainable(self.model).load(state, run))

    def _part(self, model: object) -> "ScorePart":
        if not isinstance(model, ScoresAll):
            raise ConfigError(
                f"score.model: {kind_of(self.model)!r} can't score a given item; use a model kind"
            )
        return ScorePart(model)


class ScorePart:
    """The fitted model, asked about the candidates only."""

    effect: ClassVar[frozenset[Effect]] = frozenset({Effect.SCORES, Effect.ORDERS})

    def __init__(self, model: Any) -> None:
        self.model = model

    def __call__(self, queries: Queries, slates: Slates) -> Slates:
        """The same candidates with the model's scores, best first."""
        scores = self.model.score_all(queries)[slates.rows(), slates.items]
        known = scores > -np.inf
        # What the model can't score stands below what it can, in the order it came.
        floor = np.zeros(len(slates), np.float32)
        np.minimum.at(floor, slates.rows()[known], scores[known])
        below = floor[slates.rows()] - 1 - slates.ranks()
        return slates.scored(np.where(known, scores, below)).ordered()

    def state(self) -> State:
        """The model's."""
        state: State = self.model.state()
        return state
