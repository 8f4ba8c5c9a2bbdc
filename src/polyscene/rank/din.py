"""DIN: the past as this candidate sees it.

Legend: B rows, M fields, D width, L places of the past.
"""

from typing import Annotated

import msgspec
import torch
from torch import Tensor, nn

from polyscene.nn.clicks import Widths
from polyscene.nn.fields import Batch, FieldVectors, Mlp, Plan
from polyscene.nn.layers import linear
from polyscene.rank.interaction import Dense


class Din(Dense, frozen=True, kw_only=True, tag="din"):
    """Dense layers that also read the sum of the last `max_len` items, each weighted for the candidate.

    The weight is what layers of widths `attention` make of the past item, the candidate, their difference
    and their product; weights are not normalised, so that a strong interest stays strong.

    Source: Zhou et al. 2018, "Deep interest network", with ReLU in place of Dice, and the product of the
    vectors in place of their outer product, as in the authors' code.
    """

    attention: Widths = (32, 16)
    max_len: Annotated[int, msgspec.Meta(ge=1, le=1_000)] = 50

    @property
    def places(self) -> int:
        """`max_len`."""
        return self.max_len

    def network(self, plan: Plan, chance: torch.Generator) -> "Network":
        """Attention over the past, and the layers."""
        return Network(self, plan, chance)


class Network(nn.Module):
    """Fields and the weighted past through dense layers."""

    def __init__(self, config: Din, plan: Plan, chance: torch.Generator) -> None:
        super().__init__()
        self.vectors = FieldVectors(plan, config.dim, chance)
        self.looks = Mlp(4 * config.dim, config.attention, 0.0, chance)
        self.weight = linear(self.looks.width, 1, chance)
        self.layers = config.layers((plan.fields + 1) * config.dim, chance)
        self.output = linear(self.layers.width, 1, chance)

    def forward(self, batch: Batch) -> Tensor:
        """(B,) logits."""
        vectors_BMD, past_BLD = self.vectors(batch), self.vectors.past(batch)
        candidate_BLD = vectors_BMD[:, :1].expand_as(past_BLD)
        seen_BLX = torch.cat(
            [past_BLD, candidate_BLD, past_BLD - candidate_BLD, past_BLD * candidate_BLD], 2
        )
        # Where there is no event its vector is zero, and so is its part of the sum, whatever the weight.
        interest_BD = (self.weight(self.looks(seen_BLX)) * past_BLD).sum(1)
        x_BX = torch.cat([vectors_BMD.flatten(1), interest_BD], 1)
        logits_B: Tensor = self.output(self.layers(x_BX))[:, 0]
        return logits_B
