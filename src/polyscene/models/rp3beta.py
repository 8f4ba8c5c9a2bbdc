"""RP3beta: where a walk from the history over a user to an item ends, popular ends held back."""

from typing import Annotated

import numpy as np
from msgspec import Meta

from polyscene.core.arrays import Array, Floats
from polyscene.core.config import Config
from polyscene.core.contracts import Data, Run, State
from polyscene.core.rows import Rows
from polyscene.dataset.matrix import interactions
from polyscene.nn.item_weights import ItemWeights, nearest


class Rp3Beta(Config, frozen=True, kw_only=True, tag="rp3beta"):
    """Scores an item by the chance that a random walk of two steps from the history ends there.

    A step goes from an item to one of its users, the next from that user to one of their items, each with
    its probability to the power `alpha`; an end is divided by its number of users to the power `beta`. Of
    the walks to each item those from its `neighbours` likeliest starts are kept. What no walk reaches is
    left unscored. Up to 8,192 items, fitting takes 4 bytes a pair, beyond that what the pairs that occur
    need.

    Source: Paudel et al. (2017), with `alpha` of P3alpha (Cooper et al. 2014). The first of the three
    steps, from the user to the history, has the same probability for every item and is left out.
    """

    neighbours: Annotated[int, Meta(ge=1)] = 100
    alpha: Annotated[float, Meta(ge=0)] = 1.0
    beta: Annotated[float, Meta(ge=0)] = 0.3

    def fit(self, data: Data, run: Run, warm: ItemWeights | None = None) -> ItemWeights:
        """Walks from every item to every other."""
        rows = Rows(np.unique(data.histories["item"]))
        touched_UR = interactions(data.histories, rows)
        onward_U = np.maximum(np.diff(touched_UR.indptr), 1).astype(np.float32) ** -self.alpha
        users_R = np.bincount(touched_UR.indices, minlength=len(rows)).astype(np.float32)
        start_R, end_R = users_R**-self.alpha, users_R**-self.beta

        def chance(shared: Floats, froms: Array, tos: Array) -> Floats:
            return shared * (start_R[froms] * end_R[tos])

        return ItemWeights(rows, nearest(data.histories, rows, chance, self.neighbours, onward_U))

    def load(self, state: State, run: Run) -> ItemWeights:
        """The chances as they were saved."""
        return ItemWeights.load(state)
