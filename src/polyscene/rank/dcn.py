"""DCN-V2: explicit crosses of fields beside dense layers.

Legend: B rows, M fields, D width, H hidden width.
"""

import torch
from torch import Tensor, nn

from polyscene.nn.fields import Batch, FieldVectors, Plan
from polyscene.nn.layers import linear
from polyscene.nn.trained import Positive
from polyscene.rank.interaction import Dense


class Dcn(Dense, frozen=True, kw_only=True, tag="dcn"):
    """`crosses` layers that each multiply what is there by the input once more, beside dense layers.

    The parallel form with full matrices.

    Source: Wang et al. 2021, "DCN V2: improved deep and cross network".
    """

    crosses: Positive = 3

    def network(self, plan: Plan, chance: torch.Generator) -> "Network":
        """Crosses and layers side by side, and one logit of both."""
        return Network(self, plan, chance)


class Network(nn.Module):
    """``x[l + 1] = x[0] * (W x[l] + b) + x[l]`` beside dense layers."""

    def __init__(self, config: Dcn, plan: Plan, chance: torch.Generator) -> None:
        super().__init__()
        self.vectors = FieldVectors(plan, config.dim, chance)
        width = plan.fields * config.dim
        self.crosses = nn.ModuleList(linear(width, width, chance) for _ in range(config.crosses))
        self.layers = config.layers(width, chance)
        self.output = linear(width + self.layers.width, 1, chance)

    def forward(self, batch: Batch) -> Tensor:
        """(B,) logits."""
        first_BX = crossed_BX = self.vectors(batch).flatten(1)
        for layer in self.crosses:
            crossed_BX = first_BX * layer(crossed_BX) + crossed_BX
        logits_B: Tensor = self.output(torch.cat([crossed_BX, self.layers(first_BX)], 1))[:, 0]
        return logits_B
