"""Exploration: now and then a place of the slate goes to an item from further down, by a known chance."""

from typing import Annotated, ClassVar

import msgspec
import numpy as np

from polyscene.core.arrays import Array
from polyscene.core.config import Config
from polyscene.core.contracts import Data, Effect, Run, State
from polyscene.core.queries import Queries
from polyscene.core.seeds import uniform
from polyscene.core.slates import Slates

PLACE_SALT = np.uint64(0x5CE0E)
"""Keeps the chance of a place apart from the chance of an item with the same number."""


class Explore(Config, frozen=True, kw_only=True, tag="explore"):
    """Gives each place, with probability `epsilon`, to one of the `pool` candidates below the slate.

    Writes ``propensity``: the exact probability, over seeds, that this item stands at this place:
    1 - epsilon for the item that ranks there, epsilon / pool for each of the pool. To keep that exact
    when fewer candidates than places lie below the slate, only the last places are explored then.
    Candidates that are not shown are dropped. Must be the last stage: what moves items afterwards
    would make the propensities untrue.

    Source: epsilon-greedy per place (Sutton and Barto, Reinforcement Learning, 2018, 2.2); ours draws the
    explored items without repeats from below the slate.
    """

    epsilon: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.05
    pool: Annotated[int, msgspec.Meta(ge=1)] = 100

    def fit(self, data: Data, run: Run, warm: "ExplorePart | None" = None) -> "ExplorePart":
        """Nothing is learned."""
        return ExplorePart(self.epsilon, self.pool)

    def load(self, state: State, run: Run) -> "ExplorePart":
        """Nothing was saved."""
        return ExplorePart(self.epsilon, self.pool)


class ExplorePart:
    """All chance is hash(seed, place) and hash(seed, item), so a slate can be replayed."""

    effect: ClassVar[frozenset[Effect]] = frozenset({Effect.DROPS, Effect.ORDERS})

    def __init__(self, epsilon: float, pool: int) -> None:
        self.epsilon = epsilon
        self.pool = pool

    def __call__(self, queries: Queries, slates: Slates) -> Slates:
        """The first ``queries.wanted`` places, some of them explored, with their propensities."""
        rows, ranks = slates.rows(), slates.ranks()
        shown = np.minimum(queries.wanted, slates.lengths)
        pool = np.minimum(slates.lengths - shown, self.pool)
        seeds = queries.seeds[rows]
        in_slate = ranks < shown[rows]
        open_place = in_slate & (ranks >= (shown - pool)[rows])
        swapped = open_place & (uniform(seeds ^ PLACE_SALT, ranks) < self.epsilon)
        chosen = self._drawn(slates, seeds, ~in_slate & (ranks < (shown + pool)[rows]))
        keep = np.flatnonzero(in_slate)
        positions = keep.copy()
        # The n-th explored place of a slate gets the n-th drawn item of its pool.
        nth = np.cumsum(swapped[keep]) - 1
        before = np.concatenate([[0], np.cumsum(np.bincount(rows[swapped], minlength=len(slates)))])
        start = np.concatenate([[0], np.cumsum(pool)])
        explored = swapped[keep]
        row = rows[keep][explored]
        positions[explored] = chosen[start[row] + nth[explored] - before[row]]
        chance = np.where(open_place[keep], 1.0 - self.epsilon, 1.0)
        chance[explored] = self.epsilon / pool[row]
        return slates.at(positions, shown).with_column("propensity", chance.astype(np.float32))

    def _drawn(self, slates: Slates, seeds: Array, in_pool: Array) -> Array:
        """Positions of every pool's items, slate by slate, each pool in an order of pure chance."""
        spots = np.flatnonzero(in_pool)
        chance = uniform(seeds[spots], slates.items[spots])
        order: Array = spots[np.lexsort((slates.items[spots], chance, slates.rows()[spots]))]
        return order

    def state(self) -> State:
        """Empty."""
        return State()
