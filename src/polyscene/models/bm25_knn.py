"""Item neighbours by BM25: users with long histories and items that everybody touched say less."""

from typing import Annotated

import numpy as np
from msgspec import Meta

from polyscene.core.arrays import Array, Floats
from polyscene.core.config import Config
from polyscene.core.contracts import Data, Run, State
from polyscene.core.rows import Rows
from polyscene.dataset.matrix import interactions
from polyscene.nn.item_weights import ItemWeights, nearest


class Bm25Knn(Config, frozen=True, kw_only=True, tag="bm25_knn"):
    """Scores an item by the summed BM25 likeness of its nearest neighbours among the history's items.

    A user's history is a document and its items are the words: an item weighs its rarity, less in a long
    history (`b` is the length's say, `k1` the saturation). Likeness is the sum over users of the product of
    both weights; it is not normalised, so popular items stay ahead. Each item keeps its `neighbours` most
    alike ones; what has none in the history is left unscored. Up to 8,192 items, fitting takes 4 bytes a
    pair, beyond that what the pairs that occur need.

    Source: Robertson and Zaragoza (2009), as item neighbours in the `implicit` library, though neighbours
    are kept per candidate here, per history item there.
    """

    neighbours: Annotated[int, Meta(ge=1)] = 20
    k1: Annotated[float, Meta(gt=0)] = 1.2
    b: Annotated[float, Meta(ge=0, le=1)] = 0.75

    def fit(self, data: Data, run: Run, warm: ItemWeights | None = None) -> ItemWeights:
        """Finds every item's neighbours."""
        rows = Rows(np.unique(data.histories["item"]))
        touched_UR = interactions(data.histories, rows)
        lengths_U = np.diff(touched_UR.indptr)
        spread_U = 1 - self.b + self.b * lengths_U / max(1e-9, lengths_U.sum() / max(1, len(lengths_U)))
        match_U = ((self.k1 + 1) / (self.k1 * spread_U + 1)).astype(np.float32)
        touched_R = np.bincount(touched_UR.indices, minlength=len(rows))
        rarity_R = np.log1p(len(lengths_U) / (1.0 + touched_R)).astype(np.float32)

        def likeness(shared: Floats, froms: Array, tos: Array) -> Floats:
            return shared * (rarity_R[froms] * rarity_R[tos])

        return ItemWeights(rows, nearest(data.histories, rows, likeness, self.neighbours, match_U**2))

    def load(self, state: State, run: Run) -> ItemWeights:
        """The neighbours as they were saved."""
        return ItemWeights.load(state)
