"""Dense layers over the vectors of fields.

Legend: B rows, M fields, D width.
"""

import torch
from torch import Tensor, nn

from polyscene.nn.fields import Batch, FieldVectors, Plan
from polyscene.nn.layers import linear
from polyscene.rank.interaction import Dense


class MlpRanker(Dense, frozen=True, kw_only=True, tag="mlp"):
    """Vectors of coded fields and standardised numbers, side by side, through dense layers: 64-32-1.

    Source: Covington, Adams and Sargin 2016, the ranking network, without its weights by watch time.
    """

    def network(self, plan: Plan, chance: torch.Generator) -> "Network":
        """Layers of the widths `hidden`, and one logit."""
        return Network(self, plan, chance)


class Network(nn.Module):
    """Coded fields have vectors; numbers are read as they are."""

    def __init__(self, config: MlpRanker, plan: Plan, chance: torch.Generator) -> None:
        super().__init__()
        self.vectors = FieldVectors(Plan(plan.sizes, 0), config.dim, chance)
        inputs = len(plan.sizes) * config.dim + plan.numbers
        self.layers = config.layers(inputs, chance)
        self.output = linear(self.layers.width, 1, chance)

    def forward(self, batch: Batch) -> Tensor:
        """(B,) logits."""
        words_BFD = self.vectors.words(batch)
        x_BH = self.layers(torch.cat([words_BFD.flatten(1), batch.numbers], 1))
        logits_B: Tensor = self.output(x_BH)[:, 0]
        return logits_B
