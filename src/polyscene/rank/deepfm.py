"""DeepFM: a factorisation machine and dense layers over the same vectors.

Legend: B rows, M fields, D width.
"""

import torch
from torch import Tensor, nn

from polyscene.nn.fields import Batch, FieldVectors, Plan, Wide, pairs
from polyscene.nn.layers import linear
from polyscene.rank.interaction import Dense


class DeepFm(Dense, frozen=True, kw_only=True, tag="deepfm"):
    """A factorisation machine and dense layers that share the fields' vectors, their logits added.

    Source: Guo et al. 2017, "DeepFM".
    """

    def network(self, plan: Plan, chance: torch.Generator) -> "Network":
        """Linear part, pairs and layers."""
        return Network(self, plan, chance)


class Network(nn.Module):
    """Linear part, products of pairs, dense layers."""

    def __init__(self, config: DeepFm, plan: Plan, chance: torch.Generator) -> None:
        super().__init__()
        self.wide = Wide(plan, chance)
        self.vectors = FieldVectors(plan, config.dim, chance)
        self.layers = config.layers(plan.fields * config.dim, chance)
        self.output = linear(self.layers.width, 1, chance)

    def forward(self, batch: Batch) -> Tensor:
        """(B,) logits."""
        vectors_BMD = self.vectors(batch)
        deep_B1 = self.output(self.layers(vectors_BMD.flatten(1)))
        logits_B: Tensor = self.wide(batch) + pairs(vectors_BMD) + deep_B1[:, 0]
        return logits_B
