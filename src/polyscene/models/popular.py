"""All-time popularity: how often each item was interacted with."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from polyscene.core.answer import answer
from polyscene.core.arrays import Floats, Scores
from polyscene.core.config import Config
from polyscene.core.contracts import Data, Effect, Run, State
from polyscene.core.queries import Queries
from polyscene.core.slates import Slates


class Popular(Config, frozen=True, kw_only=True, tag="popular"):
    """Ranks items by their number of interactions; the same answer for everyone.

    Source: the usual baseline; items put after the fit score 0, below everything ever touched.
    """

    def fit(self, data: Data, run: Run, warm: "PopularPart | None" = None) -> "PopularPart":
        """Counts interactions per item."""
        counts = np.bincount(data.histories["item"], minlength=data.size)
        return PopularPart(counts.astype(np.float32))

    def load(self, state: State, run: Run) -> "PopularPart":
        """The counts as they were saved."""
        return PopularPart(state.tensors["counts"])


@dataclass(frozen=True, slots=True)
class PopularPart:
    """Shapes: `counts` (n,) for the first n codes; later codes count 0."""

    counts: Floats
    effect: ClassVar[frozenset[Effect]] = frozenset({Effect.ADDS})

    def __call__(self, queries: Queries, slates: Slates) -> Slates:
        """Adds the most popular allowed items."""
        return answer(self, queries, slates)

    def score_all(self, queries: Queries) -> Scores:
        """(B, I) counts."""
        row = np.zeros(queries.allowed.size, np.float32)
        width = min(len(row), len(self.counts))
        row[:width] = self.counts[:width]
        return np.tile(row, (len(queries), 1))

    def state(self) -> State:
        """The counts."""
        return State({"counts": self.counts})
