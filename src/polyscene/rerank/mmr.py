"""Diversity: each next item is good and unlike those above it."""

from typing import Annotated, ClassVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from polyscene.core.arrays import Array, Floats
from polyscene.core.config import Config
from polyscene.core.contracts import Data, Effect, Run, State, StillView, View
from polyscene.core.errors import ConfigError
from polyscene.core.queries import Queries
from polyscene.core.slates import Slates
from polyscene.features.attributes import attribute_vectors

BLOCK_CELLS = 4_000_000
"""Likenesses held at once: 16 MB."""

DIGITS = 5
"""Gains are compared to so many digits: what differs by rounding alone is a tie; the earlier place wins."""


class Mmr(Config, frozen=True, kw_only=True, tag="mmr"):
    """Reorder each slate so that later items differ from earlier ones (maximal marginal relevance).

    Two items are as alike as the cosine of their attributes in the live catalogue: categories and tags
    (`by`; empty: all with a small vocabulary), so that an item put a moment ago takes part. Items
    without attributes count as unlike everything. `mix` 1.0 orders by score alone. Only the first
    `depth` candidates take part, and only the places that the query wants are filled; the rest keep
    their order behind them. Ties go to the earlier place, which keeps replay exact.

    Shapes: B slates, n = `depth` candidates, D attribute words. O(n · n · D) a slate.

    Source: Carbonell and Goldstein, The Use of MMR, 1998. Scores are min-max scaled per slate first.
    """

    mix: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.8
    depth: Annotated[int, msgspec.Meta(ge=1)] = 200
    by: tuple[str, ...] = ()

    def fit(self, data: Data, run: Run, warm: "MmrPart | None" = None) -> "MmrPart":
        """Nothing is learned."""
        return MmrPart(self, run.view or StillView.of(data))

    def load(self, state: State, run: Run) -> "MmrPart":
        """Nothing was saved. Raises ConfigError when the run has no view to read attributes from."""
        if run.view is None:
            raise ConfigError("mmr: loading needs Run(view=...), the catalogue that holds the attributes")
        return MmrPart(self, run.view)


class MmrPart:
    """Reads the attributes from its view at every call."""

    effect: ClassVar[frozenset[Effect]] = frozenset({Effect.ORDERS})

    def __init__(self, config: Mmr, view: View) -> None:
        self.config = config
        self.view = view

    def __call__(self, queries: Queries, slates: Slates) -> Slates:
        """The same candidates in a more varied order; scores stay what they were."""
        lengths = np.minimum(slates.lengths, self.config.depth)
        vectors = attribute_vectors(self.view.catalogue, slates.items, self.config.by)
        if self.config.mix == 1 or not vectors.shape[1] or not len(vectors):
            return slates
        positions = np.arange(len(slates.items))
        step = max(1, BLOCK_CELLS // max(1, int(lengths.max(initial=0)) ** 2))
        for start in range(0, len(slates), step):
            rows = np.arange(start, min(start + step, len(slates)))
            spots_BN, real_BN = _padded(slates.offsets[rows], lengths[rows])
            value_BN = self.config.mix * _scaled(slates.scores[spots_BN], real_BN)
            order_BN = self._order(
                np.where(real_BN, value_BN, -np.inf), vectors[spots_BN], queries.wanted[rows]
            )
            for row, order, length in zip(rows, order_BN, lengths[rows], strict=True):
                picked = order[: min(int(queries.wanted[row]), int(length))]
                rest = np.delete(np.arange(length), picked)
                offset = slates.offsets[row]
                positions[offset : offset + length] = offset + np.concatenate([picked, rest])
        return slates.at(positions, slates.lengths)

    def _order(self, value_BN: Floats, vectors_BND: Floats, wanted: Array) -> Array:
        """(B, turns) place in its slate of what is taken turn by turn; -inf marks what can't be."""
        alike_BNN = (1 - self.config.mix) * np.matmul(vectors_BND, vectors_BND.transpose(0, 2, 1))
        penalty_BN = np.zeros_like(value_BN)
        each = np.arange(len(value_BN))
        turns = min(int(wanted.max(initial=0)), value_BN.shape[1])
        order_BN = np.empty((len(value_BN), turns), np.int64)
        for turn in range(turns):
            order_BN[:, turn] = best_B = np.round(value_BN - penalty_BN, DIGITS).argmax(1)
            value_BN[each, best_B] = -np.inf
            np.maximum(penalty_BN, alike_BNN[each, best_B], out=penalty_BN)
        return order_BN

    def state(self) -> State:
        """Empty."""
        return State()


def _padded(offsets: Array, lengths: Array) -> tuple[Array, Array]:
    """(B, N) positions of each slate's candidates side by side, and which of them are real."""
    place = np.arange(int(lengths.max(initial=0)))[None]
    real_BN = place < lengths[:, None]
    return np.where(real_BN, offsets[:, None] + place, 0), real_BN


def _scaled(scores_BN: Floats, real_BN: NDArray[np.bool_]) -> Floats:
    """Scores brought to [0, 1] per slate; 1 where all are equal."""
    low = np.where(real_BN, scores_BN, np.inf).min(1, initial=np.inf)[:, None]
    high = np.where(real_BN, scores_BN, -np.inf).max(1, initial=-np.inf)[:, None]
    span = np.where(high > low, high - low, 1.0)
    scaled: Floats = np.where(real_BN & (high > low), (scores_BN - low) / span, 1.0).astype(np.float32)
    return scaled
