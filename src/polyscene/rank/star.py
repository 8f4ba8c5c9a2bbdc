"""STAR: one network for all scenarios, bent a little for each.

Legend: B rows, X width of the input, H hidden width, T tasks.
"""

from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from polyscene.nn.clicks import Widths
from polyscene.nn.fields import Batch, Mlp, Plan, Sheet
from polyscene.nn.layers import Dropout, linear
from polyscene.nn.tasks import Inputs, PartitionedNorm, Room, StarLayer
from polyscene.nn.trained import Positive, Share
from polyscene.rank.tasks import MultiTask


class Star(MultiTask, frozen=True, kw_only=True, tag="star"):
    """Dense layers whose weights are shared ones times those of the query's scenario.

    Inputs are normed by scenario, and an `auxiliary` network that reads the scenario and all else adds its
    own logit. A scenario that came after the fit is answered by the shared weights. With several actions
    the last layer has an output for each; the paper has one. Batches mix scenarios, the paper's do not.

    Source: Sheng et al. 2021, "One model to serve all: star topology adaptive recommender for multi-domain
    CTR prediction".
    """

    dim: Positive = 16
    hidden: Widths = (64, 32)
    auxiliary: Widths = (16,)
    dropout: Share = 0.1

    def network(self, plan: Plan, chance: torch.Generator) -> "Network":
        """Norm, star layers, and the auxiliary network."""
        return Network(self, Room.of(plan), chance)

    def settle(self, network: nn.Module, sheet: Sheet) -> None:
        """The means and deviations of each scenario, over all rows."""
        if isinstance(network, Network):
            network.settle(sheet)


class Network(nn.Module):
    """Star beside an auxiliary network."""

    def __init__(self, config: Star, room: Room, chance: torch.Generator) -> None:
        super().__init__()
        self.inputs = Inputs(room, config.dim, chance)
        width = self.inputs.width
        self.norm = PartitionedNorm(width, room.scenarios, chance)
        widths = pairwise([width, *config.hidden, room.tasks])
        self.layers = nn.ModuleList(StarLayer(*each, room.scenarios, chance) for each in widths)
        self.auxiliary = Mlp(width, config.auxiliary, config.dropout, chance)
        self.output = linear(self.auxiliary.width, room.tasks, chance)
        self.drop = Dropout(config.dropout, chance)

    def forward(self, batch: Batch) -> Tensor:
        """(B, T) logits."""
        x_BX, scenario_B = self.inputs(batch), batch.codes[:, -1]
        beside_BT: Tensor = self.output(self.auxiliary(x_BX))
        x_BH = self.norm(x_BX, scenario_B)
        *layers, last = self.layers
        for layer in layers:
            x_BH = self.drop(functional.relu(layer(x_BH, scenario_B)))
        logits_BT: Tensor = beside_BT + last(x_BH, scenario_B)
        return logits_BT

    def settle(self, sheet: Sheet) -> None:
        """Norms by these rows from now on."""
        with torch.no_grad():
            nothing = np.zeros(len(sheet), np.float32)
            every = Batch.of(sheet, nothing, np.arange(len(sheet)), self.norm.means.device)
            self.norm.settle(self.inputs(every), every.codes[:, -1])
