"""Wide and deep: a linear part that remembers beside dense layers that generalise.

Legend: B rows, M fields, D width.
"""

import torch
from torch import Tensor, nn

from polyscene.nn.fields import Batch, FieldVectors, Plan, Wide
from polyscene.nn.layers import linear
from polyscene.rank.interaction import Dense


class WideDeep(Dense, frozen=True, kw_only=True, tag="wide_deep"):
    """Logistic regression and dense layers over vectors of `dim`, their logits added.

    Source: Cheng et al. 2016, "Wide and deep learning", without crossed columns made by hand in the wide
    part; both parts learn by one optimiser.
    """

    def network(self, plan: Plan, chance: torch.Generator) -> "Network":
        """The linear part and the layers."""
        return Network(self, plan, chance)


class Network(nn.Module):
    """Linear part plus dense layers."""

    def __init__(self, config: WideDeep, plan: Plan, chance: torch.Generator) -> None:
        super().__init__()
        self.wide = Wide(plan, chance)
        self.vectors = FieldVectors(plan, config.dim, chance)
        self.layers = config.layers(plan.fields * config.dim, chance)
        self.output = linear(self.layers.width, 1, chance)

    def forward(self, batch: Batch) -> Tensor:
        """(B,) logits."""
        deep_B1 = self.output(self.layers(self.vectors(batch).flatten(1)))
        logits_B: Tensor = self.wide(batch) + deep_B1[:, 0]
        return logits_B
