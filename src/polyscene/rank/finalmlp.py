"""FinalMLP: two streams of dense layers over gated inputs, put together by products of their outputs.

Legend: B rows, M fields, D width, X = M x D, H heads, E, G width of a head in either stream.
"""

import torch
from torch import Tensor, nn

from polyscene.core.errors import ConfigError
from polyscene.nn.clicks import Widths
from polyscene.nn.fields import Batch, FieldVectors, Plan
from polyscene.nn.layers import linear
from polyscene.nn.trained import Positive
from polyscene.rank.interaction import Dense


class FinalMlp(Dense, frozen=True, kw_only=True, tag="finalmlp"):
    """Two streams of dense layers; their outputs count alone and multiplied with each other, head by head.

    Each stream has gates of its own on the inputs: 2 sigmoid of a learned bias, the form without context
    features, for a table does not tell users from items. `heads` must divide the last widths of `hidden`
    and `other`.

    Source: Mao et al. 2023, "FinalMLP".
    """

    other: Widths = (64, 32)
    heads: Positive = 4

    def network(self, plan: Plan, chance: torch.Generator) -> "Network":
        """Both streams and their fusion. Raises ConfigError where the heads don't divide their widths."""
        for name in ("hidden", "other"):
            widths = getattr(self, name)
            if not widths or widths[-1] % self.heads:
                raise ConfigError(
                    f"finalmlp.{name}: {list(widths)} must end in a multiple of heads ({self.heads})"
                )
        return Network(self, plan, chance)


class Network(nn.Module):
    """Gates, streams, fusion."""

    def __init__(self, config: FinalMlp, plan: Plan, chance: torch.Generator) -> None:
        super().__init__()
        self.vectors = FieldVectors(plan, config.dim, chance)
        width = plan.fields * config.dim
        gates_2X = torch.empty(2, width, device=chance.device).normal_(std=0.02, generator=chance)
        self.gates = nn.Parameter(gates_2X)
        self.left = config.layers(width, chance)
        self.right = config.layers(width, chance, config.other)
        self.alone = linear(self.left.width + self.right.width, 1, chance)
        heads = config.heads
        together_HEG = torch.empty(
            heads, self.left.width // heads, self.right.width // heads, device=chance.device
        )
        self.together = nn.Parameter(nn.init.xavier_uniform_(together_HEG, generator=chance))

    def forward(self, batch: Batch) -> Tensor:
        """(B,) logits."""
        x_BX = self.vectors(batch).flatten(1)
        gates_2X = 2 * torch.sigmoid(self.gates)
        left_BL, right_BR = self.left(x_BX * gates_2X[0]), self.right(x_BX * gates_2X[1])
        alone_B = self.alone(torch.cat([left_BL, right_BR], 1))[:, 0]
        heads = len(self.together)
        left_BHE, right_BHG = (each.unflatten(1, (heads, -1)) for each in (left_BL, right_BR))
        both_B = torch.einsum("bhe,heg,bhg->b", left_BHE, self.together, right_BHG)
        logits_B: Tensor = alone_B + both_B
        return logits_B
