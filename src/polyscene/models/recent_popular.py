"""Popularity with a half-life: what is touched now counts more than what was."""

from collections.abc import Iterator
from typing import Annotated, ClassVar

import numpy as np
from msgspec import Meta

from polyscene.core.answer import answer
from polyscene.core.arrays import Array, Codes, Scores, Times
from polyscene.core.clock import DAY_MS
from polyscene.core.config import Config
from polyscene.core.contracts import Data, Effect, Run, State
from polyscene.core.queries import Queries
from polyscene.core.slates import Slates


class RecentPopular(Config, frozen=True, kw_only=True, tag="recent_popular"):
    """Ranks items by their interactions, each worth ``0.5 ** (age / half-life)``.

    Only what happened before ``queries.at`` counts, so a query set in the past sees the popularity of its
    time; age is counted from the newest such interaction, which changes no order. In data without a clock
    positions can't be told from times: then every interaction counts for every query, and its age is the
    share of all interactions at later positions, with `half_life_share` as half-life. Items that nothing
    touched, or nothing for 100 half-lives, score 0.

    Source: exponentially decayed counts, the usual trending baseline.
    """

    half_life_days: Annotated[float, Meta(gt=0)] = 7.0
    half_life_share: Annotated[float, Meta(gt=0, le=1)] = 0.05

    def fit(self, data: Data, run: Run, warm: "RecentPopularPart | None" = None) -> "RecentPopularPart":
        """Sorts the interactions by time; without a clock, by the time that their age stands for."""
        order = np.argsort(data.histories["time"], kind="stable")
        items, times = data.histories["item"][order], data.histories["time"][order]
        if data.clock:
            return RecentPopularPart(items, times, self.half_life_days * DAY_MS)
        places = np.searchsorted(times, times, side="right")
        return RecentPopularPart(items, places, self.half_life_share * len(times), clock=False)

    def load(self, state: State, run: Run) -> "RecentPopularPart":
        """The interactions as they were saved."""
        items, times = state.tensors["items"], state.tensors["times"]
        return RecentPopularPart(items, times, state.meta["half_life"], clock=state.meta["clock"])


class RecentPopularPart:
    """The interactions by rising time, so that the past can be asked, and their counts as of the newest.

    Shapes: `items`, `times` (N,), 12 bytes an interaction; `half_life` in the unit of the times. Queries
    later than all interactions, the usual case, cost no pass over them.
    """

    effect: ClassVar[frozenset[Effect]] = frozenset({Effect.ADDS})

    def __init__(self, items: Codes, times: Times, half_life: float, *, clock: bool = True) -> None:
        self.items, self.times, self.half_life, self.clock = items, times, half_life, clock
        self._width = int(items.max(initial=-1)) + 1
        self._latest = np.zeros(self._width)
        for _, counts in self._walk(times[-1:] + 1):
            self._latest = counts

    def __call__(self, queries: Queries, slates: Slates) -> Slates:
        """Adds the items most popular as of each query."""
        return answer(self, queries, slates)

    def score_all(self, queries: Queries) -> Scores:
        """(B, I) decayed counts as of each query."""
        size = queries.allowed.size
        width = min(size, self._width)
        block = np.zeros((len(queries), size), np.float32)
        block[:, :width] = self._latest[:width]
        if self.clock and len(self.times):
            past = queries.at <= self.times[-1]
            for moment, counts in self._walk(np.unique(queries.at[past])):
                block[queries.at == moment, :width] = counts[:width]
        return block

    def state(self) -> State:
        """The interactions and the half-life."""
        tensors: dict[str, Array] = {"items": self.items, "times": self.times}
        return State(tensors, {"half_life": self.half_life, "clock": self.clock})

    def _walk(self, moments: Times) -> Iterator[tuple[int, Array]]:
        """(moment, counts by code of what came before it) for rising moments."""
        counts, newest, read = np.zeros(self._width), 0, 0
        for moment, upto in zip(moments, np.searchsorted(self.times, moments, side="left"), strict=True):
            if upto > read:
                last = self.times[upto - 1]
                ages = (last - self.times[read:upto]) / self.half_life
                counts = counts * 0.5 ** ((last - newest) / self.half_life) if read else counts
                counts = counts + np.bincount(self.items[read:upto], 0.5**ages, self._width)
                newest, read = last, upto
            yield moment, counts
