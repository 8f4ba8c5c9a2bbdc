"""The backbone: what an event says, the trunk that reads events, and how much counted evidence weighs.

Legend: B sequences, L positions, D width, R item rows, F features of evidence; ``x_xD`` any leading axes.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from polyscene.nn.events import Events
from polyscene.nn.layers import Shape, Trunk, linear, table

FIRST_WEIGHT = 0.1
"""Weight that every feature of evidence starts with."""


class Backbone(nn.Module):
    """Item table, tables for the surface of events, trunk; the item table is both input and output.

    `surface`: number of codes of each column. `aged`: how many positions counted from the newest event have
    a vector of their own, 0 for none. `features`: number of evidence features whose weights it gives.
    """

    def __init__(
        self,
        rows: int,
        shape: Shape,
        surface: Mapping[str, int],
        aged: int,
        features: int,
        chance: torch.Generator,
    ) -> None:
        super().__init__()
        self.items = table(rows, shape.dim, chance)
        self.ages = table(aged, shape.dim, chance) if aged else None
        self.surface = nn.ParameterDict(
            {name: table(size, shape.dim, chance) for name, size in surface.items()}
        )
        self.trunk = Trunk(shape, chance)
        self.gates = linear(shape.dim, features, chance) if features else None
        if self.gates is not None:
            nn.init.zeros_(self.gates.weight)
            nn.init.constant_(self.gates.bias, FIRST_WEIGHT)

    def forward(self, events: Events, *, newest: bool = False) -> Tensor:
        """(B, L, D) what each position expects next; (B, D) at the newest event only if `newest`."""
        x_BLD = self.items[events.rows]
        if self.ages is not None:
            age_BL = events.last[:, None] - torch.arange(x_BLD.shape[1], device=x_BLD.device)
            x_BLD = x_BLD + self.ages[age_BL.clamp_(min=0)]
        for name, codes_BL in events.surface.items():
            x_BLD = x_BLD + self.surface[name][codes_BL]
        x_BLD = x_BLD * self.items.shape[1] ** 0.5
        output: Tensor = self.trunk(x_BLD, events.last if newest else None, events.buckets)
        return output

    def weighed(self, hidden_xD: Tensor) -> Tensor | None:
        """(..., F) weight of each feature of evidence; None without any."""
        return None if self.gates is None else self.gates(hidden_xD)
