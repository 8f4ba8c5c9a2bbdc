"""LightGCN: taste carried along who touched what; only where it starts from is learned.

Legend: D width, K negatives, N pairs, R item rows, U users, G = U + R.
"""

from typing import Annotated

import msgspec
import torch
from torch import Tensor, nn

from polyscene.core.contracts import Data, Run
from polyscene.nn.contrast import bpr
from polyscene.nn.graph import Spread, balanced
from polyscene.nn.neighbourly import GraphModel, GraphNetwork, Neighbourly, of_layers
from polyscene.nn.pairs import PairBatch, Touched
from polyscene.nn.trained import Positive, Share


class LightGcn(GraphModel, frozen=True, kw_only=True, tag="lightgcn"):
    """Users and items as the mean of their vectors and those `layers` steps away, trained by BPR.

    `negatives`: items not touched beside each one touched; `batch_size` counts touched ones. See `Trained`
    for how it learns; `l2` weakens all first vectors alike, the paper's only those of a batch. A user's
    vector comes from the history at hand, carried through the learned layers; to that known users add the
    first vector they learned, so the part holds users. Order is not read; unknown items are skipped; who
    has neither gets the log popularity. Items put after the fit are not scored.

    Source: He et al. 2020, "LightGCN: simplifying and powering graph convolution network".
    """

    layers: Positive = 3
    learning_rate: Annotated[float, msgspec.Meta(gt=0)] = 0.02
    average: Share = 0.99
    negatives: Positive = 4
    epochs: Annotated[int, msgspec.Meta(ge=0)] = 20

    def network(self, touched: Touched, data: Data, run: Run, chance: torch.Generator) -> "Network":
        """First vectors, and the links."""
        return Network(self, touched, chance)


class Network(GraphNetwork):
    """First vectors (G, D), users above items."""

    def __init__(self, config: LightGcn, touched: Touched, chance: torch.Generator) -> None:
        super().__init__(touched)
        size = len(touched.users) + len(touched.items)
        self.first = nn.Parameter(torch.empty(size, config.dim, device=chance.device))
        nn.init.normal_(self.first, std=0.1, generator=chance)
        self.spread = Spread(balanced(touched.cells), chance.device)
        self.count = config.layers

    def layers(self) -> list[Tensor]:
        """The first vectors (G, D) and those of every step."""
        found: list[Tensor] = [self.first]
        for _ in range(self.count):
            found.append(self.spread(found[-1]))
        return found

    def loss(self, batch: PairBatch) -> Tensor:
        """BPR between final vectors."""
        final_GD = torch.stack(self.layers()).mean(0)
        users_ND, items_RD = final_GD[batch.users], final_GD[len(self.touched.users) :]
        return bpr(
            (users_ND * items_RD[batch.items]).sum(1),
            (users_ND[:, None] * items_RD[batch.others]).sum(2),
        )

    def part(self) -> Neighbourly:
        """What answers with the present weights."""
        return of_layers(self.touched, self.layers(), first=True)
