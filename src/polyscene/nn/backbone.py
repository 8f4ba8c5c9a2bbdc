"""The backbone: what an event says, the trunk that reads events.

Legend: B sequences, L positions, D width, R item rows; ``x_xD`` any leading axes.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from polyscene.nn.content import ItemTable
from polyscene.nn.denoise import Denoiser
from polyscene.nn.events import Events
from polyscene.nn.heads import ActionHeads, ValueScale
from polyscene.nn.layers import Shape, Trunk, table


@dataclass(frozen=True, slots=True)
class Equipment:
    """What a backbone has beside its trunk.

    `surface`: number of codes of each column. `aged`: how many positions counted from the newest event have
    a vector of their own. `short_conv`: from how many events back an event takes something over. `actions`:
    kinds of action that a head tells apart, with `scale` for their values. `holes`, `denoises`: whether it
    learns from histories with holes, and names what was in them. 0, None or False leaves each out.
    """

    surface: Mapping[str, int]
    aged: int = 0
    short_conv: int = 0
    actions: int = 0
    scale: ValueScale | None = None
    holes: bool = False
    denoises: bool = False


class Backbone(nn.Module):
    """Item table, tables for the surface of events, trunk, heads; items are both input and output."""

    def __init__(
        self, items: ItemTable, shape: Shape, equipment: Equipment, chance: torch.Generator
    ) -> None:
        super().__init__()
        dim = shape.dim
        self.items = items
        self.ages = table(equipment.aged, dim, chance) if equipment.aged else None
        self.surface = nn.ParameterDict(
            {name: table(size, dim, chance) for name, size in equipment.surface.items()}
        )
        back = equipment.short_conv
        self.taps = nn.Parameter(torch.zeros(back, dim, device=chance.device)) if back else None
        self.hole = table(1, dim, chance) if equipment.holes else None
        self.trunk = Trunk(shape, chance)
        self.heads = (
            ActionHeads(dim, equipment.actions, chance, equipment.scale) if equipment.actions else None
        )
        self.denoiser = Denoiser(dim, chance) if equipment.denoises else None

    def forward(self, events: Events, items_RD: Tensor, *, newest: bool = False) -> Tensor:
        """(B, L, D) what each position expects next; (B, D) at the newest event only if `newest`.

        `items_RD` is what `items` gives, so that a step makes it once.
        """
        if self.hole is not None:
            items_RD = torch.cat([items_RD, self.hole])
        x_BLD = items_RD[events.rows]
        if self.ages is not None:
            age_BL = events.last[:, None] - torch.arange(x_BLD.shape[1], device=x_BLD.device)
            x_BLD = x_BLD + self.ages[age_BL.clamp_(min=0)]
        for name, codes_BL in events.surface.items():
            x_BLD = x_BLD + self.surface[name][codes_BL]
        x_BLD = x_BLD * items_RD.shape[1] ** 0.5
        before_BLD = x_BLD
        for tap_D in () if self.taps is None else self.taps:
            before_BLD = functional.pad(before_BLD, (0, 0, 1, 0))[:, :-1]
            x_BLD = x_BLD + tap_D * before_BLD
        output: Tensor = self.trunk(x_BLD, events.last if newest else None, events.buckets)
        return output
