"""BST: the past and the candidate as one sequence through a transformer.

Legend: B rows, M fields, D width, L places of the past, P = L + 1, H heads, E = D / H.
"""

from typing import Annotated

import msgspec
import torch
from torch import Tensor, nn
from torch.nn import functional

from polyscene.core.errors import ConfigError
from polyscene.nn.fields import GAPS, Batch, FieldVectors, Plan
from polyscene.nn.layers import Dropout, linear, table
from polyscene.nn.trained import Positive
from polyscene.rank.interaction import Dense


class Bst(Dense, frozen=True, kw_only=True, tag="bst"):
    """A transformer over the last `max_len` items with the candidate behind them, then dense layers.

    A position is how long before the question the event was. One block, as the authors found best.

    Source: Chen et al. 2019, "Behavior sequence transformer". Where it lays all outputs side by side, only
    that of the candidate and the mean of the others go on, so that memory does not grow with `max_len`.
    """

    heads: Positive = 2
    max_len: Annotated[int, msgspec.Meta(ge=1, le=1_000)] = 20

    @property
    def places(self) -> int:
        """`max_len`."""
        return self.max_len

    def network(self, plan: Plan, chance: torch.Generator) -> "Network":
        """The block and the layers. Raises ConfigError where the heads don't divide the width."""
        if self.dim % self.heads:
            raise ConfigError(f"bst.heads: {self.heads} does not divide dim ({self.dim})")
        return Network(self, plan, chance)


class Network(nn.Module):
    """Attention without direction, a feed-forward layer, dense layers over all."""

    def __init__(self, config: Bst, plan: Plan, chance: torch.Generator) -> None:
        super().__init__()
        dim = config.dim
        self.heads = config.heads
        self.vectors = FieldVectors(plan, dim, chance)
        self.when = table(GAPS, dim, chance)
        self.inputs, self.mixed = linear(dim, 3 * dim, chance), linear(dim, dim, chance)
        self.wide, self.narrow = linear(dim, 4 * dim, chance), linear(4 * dim, dim, chance)
        self.norms = nn.ModuleList(nn.LayerNorm(dim, device=chance.device) for _ in range(2))
        self.drop = Dropout(config.dropout, chance)
        self.layers = config.layers((plan.fields + 2) * dim, chance)
        self.output = linear(self.layers.width, 1, chance)

    def forward(self, batch: Batch) -> Tensor:
        """(B,) logits."""
        vectors_BMD = self.vectors(batch)
        sequence_BPD = torch.cat([self.vectors.past(batch), vectors_BMD[:, :1]], 1)
        gaps_BP = functional.pad(batch.gaps, (0, 1))
        there_BP = functional.pad(batch.past > 0, (0, 1), value=True)
        x_BPD = self._block(sequence_BPD + functional.embedding(gaps_BP, self.when), there_BP)
        past_BL1 = there_BP[:, :-1, None]
        mean_BD = (x_BPD[:, :-1] * past_BL1).sum(1) / past_BL1.sum(1).clamp_min(1)
        x_BX = torch.cat([vectors_BMD.flatten(1), x_BPD[:, -1], mean_BD], 1)
        logits_B: Tensor = self.output(self.layers(x_BX))[:, 0]
        return logits_B

    def _block(self, x_BPD: Tensor, there_BP: Tensor) -> Tensor:
        q_BHPE, k_BHPE, v_BHPE = (
            each.unflatten(2, (self.heads, -1)).transpose(1, 2) for each in self.inputs(x_BPD).chunk(3, -1)
        )
        scores_BHPP = q_BHPE @ k_BHPE.mT / k_BHPE.shape[-1] ** 0.5
        shares_BHPP = scores_BHPP.masked_fill(~there_BP[:, None, None], -torch.inf).softmax(-1)
        attended_BPD = (shares_BHPP @ v_BHPE).transpose(1, 2).flatten(2)
        x_BPD = self.norms[0](x_BPD + self.drop(self.mixed(attended_BPD)))
        forward_BPD = self.narrow(functional.leaky_relu(self.wide(x_BPD)))
        result_BPD: Tensor = self.norms[1](x_BPD + self.drop(forward_BPD))
        return result_BPD
