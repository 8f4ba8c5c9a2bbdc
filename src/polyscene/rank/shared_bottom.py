"""Shared bottom: one body for all tasks.

Legend: B rows, H width of the body, T tasks.
"""

import torch
from torch import Tensor, nn

from polyscene.nn.clicks import Widths
from polyscene.nn.fields import Batch, Mlp, Plan
from polyscene.nn.tasks import Inputs, Room, Towers
from polyscene.nn.trained import Positive, Share
from polyscene.rank.tasks import MultiTask


class SharedBottom(MultiTask, frozen=True, kw_only=True, tag="shared_bottom"):
    """Dense layers `hidden` that all tasks share, then a tower of the widths `towers` for each.

    Source: Caruana 1997, "Multitask learning".
    """

    dim: Positive = 16
    hidden: Widths = (64,)
    towers: Widths = (32,)
    dropout: Share = 0.1

    def network(self, plan: Plan, chance: torch.Generator) -> "Network":
        """One body, a tower a task."""
        return Network(self, Room.of(plan), chance)


class Network(nn.Module):
    """Body and towers."""

    def __init__(self, config: SharedBottom, room: Room, chance: torch.Generator) -> None:
        super().__init__()
        self.inputs = Inputs(room, config.dim, chance)
        self.body = Mlp(self.inputs.width, config.hidden, config.dropout, chance)
        self.towers = Towers(room.tasks, self.body.width, config.towers, config.dropout, chance)
        self.tasks = room.tasks

    def forward(self, batch: Batch) -> Tensor:
        """(B, T) logits."""
        x_BH = self.body(self.inputs(batch))
        logits_BT: Tensor = self.towers([x_BH] * self.tasks)
        return logits_BT
