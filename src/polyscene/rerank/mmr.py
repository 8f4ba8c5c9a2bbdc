"""Diversity: each next item is good and unlike those above it."""

from typing import Annotated, ClassVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from polyscene.core.arrays import Floats
from polyscene.core.config import Config
from polyscene.core.contracts import Data, Effect, Run, State, StillView, View
from polyscene.core.errors import ConfigError
from polyscene.core.queries import Queries
from polyscene.core.slates import Slates
from polyscene.features.attributes import attribute_vectors

BLOCK_CELLS = 4_000_000
"""Vector cells held at once: 16 MB."""


class Mmr(Config, frozen=True, kw_only=True, tag="mmr"):
    """Reorder each slate so that later items differ from earlier ones (maximal marginal relevance).

    Two items are as alike as the cosine of their attributes in the live catalogue: categories and tags
    (`by`; empty: all with a small vocabulary), so that an item put a moment ago takes part. Items
    without attributes count as unlike everything. `mix` 1.0 orders by score alone. Only the first
    `depth` candidates take part, and only the places that the query wants are filled; the rest keep
    their order behind them. Ties go to the earlier place, which keeps replay exact.

    Shapes: B slates, n = `depth` candidates, D attribute words. O(wanted · n · D) a slate.

    Source: Carbonell and Goldstein, The Use of MMR, 1998. Scores are min-max scaled per slate first.
    """

    mix: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.8
    depth: Annotated[int, msgspec.Meta(ge=1)] = 200
    by: tuple[str, ...] = ()

    def fit(self, data: Data, run: Run, warm: "MmrPart | None" = None) -> "MmrPart":
        """Nothing is learned."""
        return MmrPart(self, run.view or StillView(data.catalogue))

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
        if self.config.mix == 1 or not vectors.shape[1]:
            return slates
        positions = np.arange(len(slates.items))
        step = max(1, BLOCK_CELLS // max(1, int(lengths.max(initial=0)) * vectors.shape[1]))
        for start in range(0, len(slates), step):
            rows = np.arange(start, min(start + step, len(slates)))
            self._reorder(rows, lengths[rows], queries.wanted[rows], (slates, vectors, positions))
        return slates.at(positions, slates.lengths)

    def _reorder(
        self,
        rows: NDArray[np.int64],
        lengths: NDArray[np.int64],
        wanted: NDArray[np.int32],
        about: tuple[Slates, Floats, NDArray[np.int64]],
    ) -> None:
        """Writes the new order of some slates into `positions`; the slates stand padded side by side."""
        slates, vectors, positions = about
        width = int(lengths.max(initial=0))
        place = np.arange(width)[None]
        real_BN = place < lengths[:, None]
        spots_BN = np.where(real_BN, slates.offsets[rows][:, None] + place, 0)
        value_BN = self.config.mix * _scaled(slates.scores[spots_BN], real_BN)
        vectors_BND = vectors[spots_BN] if len(slates.items) else np.zeros((len(rows), 0, 1), np.float32)
        alike_BN = np.zeros(value_BN.shape, np.float32)
        free_BN = real_BN.copy()
        each = np.arange(len(rows))
        turns = int(np.minimum(wanted, lengths).max(initial=0))
        order_BN = np.empty((len(rows), turns), np.int64)
        for turn in range(turns):
            gain_BN = np.where(free_BN, value_BN - (1 - self.config.mix) * alike_BN, -np.inf)
            best_B = gain_BN.argmax(1)
            order_BN[:, turn] = best_B
            free_BN[each, best_B] = False
            latest_BN = np.matmul(vectors_BND, vectors_BND[each, best_B][:, :, None])[:, :, 0]
            np.maximum(alike_BN, latest_BN, out=alike_BN)
        for row, offset in enumerate(slates.offsets[rows]):
            picked = order_BN[row, : min(int(wanted[row]), int(lengths[row]))]
            rest = np.setdiff1d(np.arange(lengths[row]), picked, assume_unique=True)
            positions[offset : offset + lengths[row]] = offset + np.concatenate([picked, rest])

    def state(self) -> State:
        """Empty."""
        return State()


def _scaled(scores_BN: Floats, real_BN: NDArray[np.bool_]) -> Floats:
    """Scores brought to [0, 1] per slate; 1 where all are equal."""
    low = np.where(real_BN, scores_BN, np.inf).min(1, initial=np.inf)[:, None]
    high = np.where(real_BN, scores_BN, -np.inf).max(1, initial=-np.inf)[:, None]
    span = np.where(high > low, high - low, 1.0)
    scaled: Floats = np.where(real_BN & (high > low), (scores_BN - low) / span, 1.0).astype(np.float32)
    return scaled
