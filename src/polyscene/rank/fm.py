"""A factorisation machine.

Legend: B rows, M fields, D width.
"""

import torch
from torch import Tensor, nn

from polyscene.nn.fields import Batch, FieldVectors, Plan, Wide, pairs
from polyscene.nn.trained import Positive
from polyscene.rank.interaction import Interaction


class Fm(Interaction, frozen=True, kw_only=True, tag="fm"):
    """Logistic regression with a weight for each pair of fields: the product of two vectors of `dim`.

    Pairs that training never saw together are known by their vectors.

    Source: Rendle 2010, "Factorization machines"; by Adam, as the others.
    """

    dim: Positive = 16

    def network(self, plan: Plan, chance: torch.Generator) -> "Network":
        """The linear part and the pairs."""
        return Network(self, plan, chance)


class Network(nn.Module):
    """Linear part plus products of pairs."""

    def __init__(self, config: Fm, plan: Plan, chance: torch.Generator) -> None:
        super().__init__()
        self.wide = Wide(plan, chance)
        self.vectors = FieldVectors(plan, config.dim, chance)

    def forward(self, batch: Batch) -> Tensor:
        """(B,) logits."""
        logits_B: Tensor = self.wide(batch) + pairs(self.vectors(batch))
        return logits_B
