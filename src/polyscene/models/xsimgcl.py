"""XSimGCL: LightGCN's steps with noise, and each user and item told from all others between two steps.

Legend: D width, K negatives, N pairs, R item rows, U users, G = U + R.
"""

from typing import Annotated

import msgspec
import torch
from torch import Tensor, nn
from torch.nn import functional

from polyscene.core.contracts import Data, Run
from polyscene.core.errors import ConfigError
from polyscene.nn.contrast import bpr, info_nce
from polyscene.nn.graph import Spread, balanced
from polyscene.nn.neighbourly import GraphModel, GraphNetwork, Neighbourly, of_layers
from polyscene.nn.pairs import PairBatch, Touched
from polyscene.nn.trained import Positive


class XSimGcl(GraphModel, frozen=True, kw_only=True, tag="xsimgcl"):
    """Users and items as the mean of what lies 1 to `layers` steps away, trained by BPR and contrast.

    While it learns, every step adds noise of length `noise` that keeps the signs, and the vectors of step
    `contrasted` must know their own final one among those of the batch: an InfoNCE loss at `temperature`,
    `contrast` times as heavy as BPR. `negatives`: items not touched beside each one touched; `batch_size`
    counts touched ones. See `Trained` for how it learns; `l2` weakens all first vectors alike. As first
    vectors are not part of the mean, a user's vector follows from the history at hand alone, and no row of
    a person is kept. Order is not read; unknown items are skipped; who has none known gets the log
    popularity. Items put after the fit are not scored.

    Source: Yu et al. 2023, "XSimGCL: towards extremely simple graph contrastive learning". First vectors
    are several times as long as theirs: the shorter they are, the longer the contrast alone leads.
    """

    layers: Positive = 2
    contrasted: Positive = 1
    noise: Annotated[float, msgspec.Meta(ge=0)] = 0.1
    temperature: Annotated[float, msgspec.Meta(gt=0)] = 0.2
    contrast: Annotated[float, msgspec.Meta(ge=0)] = 0.1
    epochs: Annotated[int, msgspec.Meta(ge=0)] = 15
    learning_rate: Annotated[float, msgspec.Meta(gt=0)] = 0.02

    def network(self, touched: Touched, data: Data, run: Run, chance: torch.Generator) -> "Network":
        """First vectors, and the links.

        Raises:
            ConfigError: `contrasted` is beyond the last step.
        """
        if self.contrasted > self.layers:
            raise ConfigError(
                f"xsimgcl: contrasted is step {self.contrasted} of {self.layers}; lower it or raise layers"
            )
        return Network(self, touched, chance)


class Network(GraphNetwork):
    """First vectors (G, D), users above items, and the chance of the noise."""

    def __init__(self, config: XSimGcl, touched: Touched, chance: torch.Generator) -> None:
        super().__init__(touched)
        size = len(touched.users) + len(touched.items)
        self.first = nn.Parameter(torch.empty(size, config.dim, device=chance.device))
        nn.init.normal_(self.first, std=0.1, generator=chance)
        self.spread = Spread(balanced(touched.cells), chance.device)
        self.config, self.chance = config, chance

    def layers(self) -> list[Tensor]:
        """The first vectors (G, D) and those of every step."""
        found: list[Tensor] = [self.first]
        for _ in range(self.config.layers):
            found.append(self.noisy(self.spread(found[-1])))
        return found

    def noisy(self, x_GD: Tensor) -> Tensor:
        """The vectors with noise of fixed length and their own signs; as they are when not training."""
        if not self.training or not self.config.noise:
            return x_GD
        noise_GD = torch.rand(x_GD.shape, generator=self.chance, device=x_GD.device)
        return x_GD + x_GD.detach().sign() * functional.normalize(noise_GD) * self.config.noise

    def loss(self, batch: PairBatch) -> Tensor:
        """BPR between final vectors, and the contrast of the batch's users and items."""
        config, layers = self.config, self.layers()
        users = len(self.touched.users)
        final_GD, seen_GD = torch.stack(layers[1:]).mean(0), layers[config.contrasted]
        users_ND, items_RD = final_GD[batch.users], final_GD[users:]
        loss = bpr(
            (users_ND * items_RD[batch.items]).sum(1),
            (users_ND[:, None] * items_RD[batch.others]).sum(2),
        )
        for nodes in (torch.unique(batch.users), users + torch.unique(batch.items)):
            loss = loss + config.contrast * info_nce(seen_GD[nodes], final_GD[nodes], config.temperature)
        return loss

    def part(self) -> Neighbourly:
        """What answers with the present weights."""
        return of_layers(self.touched, self.layers(), first=False)
