"""Item neighbours: an item is scored by how alike it is to the items of the history."""

from typing import Annotated

import numpy as np
from msgspec import Meta

from polyscene.core.arrays import Array, Floats
from polyscene.core.config import Config
from polyscene.core.contracts import Data, Run, State
from polyscene.core.rows import Rows
from polyscene.dataset.matrix import interactions
from polyscene.nn.item_weights import ItemWeights, nearest


class ItemKnn(Config, frozen=True, kw_only=True, tag="item_knn"):
    """Scores an item by the summed cosine of its nearest neighbours among the history's items.

    A cosine is shared users over (root of the product of both counts + `shrink`). Each item keeps its
    `neighbours` most similar ones. What has no neighbour in the history is left unscored. Memory grows with
    items times neighbours; up to 8,192 items, fitting takes 4 bytes a pair.

    Source: Sarwar et al. (2001) with the shrink term of Bell and Koren (2007).
    """

    neighbours: Annotated[int, Meta(ge=1)] = 50
    shrink: Annotated[float, Meta(ge=0)] = 20.0

    def fit(self, data: Data, run: Run, warm: ItemWeights | None = None) -> ItemWeights:
        """Finds every item's neighbours."""
        rows = Rows(np.unique(data.histories["item"]))
        touched_R = np.bincount(interactions(data.histories, rows).indices, minlength=len(rows))
        norms_R = np.sqrt(touched_R).astype(np.float32)

        def cosine(shared: Floats, froms: Array, tos: Array) -> Floats:
            return shared / (norms_R[froms] * norms_R[tos] + np.float32(self.shrink))

        return ItemWeights(rows, nearest(data.histories, rows, cosine, self.neighbours))

    def load(self, state: State, run: Run) -> ItemWeights:
        """The neighbours as they were saved."""
        return ItemWeights.load(state)
