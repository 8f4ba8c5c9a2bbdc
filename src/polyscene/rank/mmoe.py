"""MMoE: experts that all tasks share, and a gate for each task.

Legend: B rows, E experts, H width of an expert, T tasks.
"""

import torch
from torch import Tensor, nn

from polyscene.nn.clicks import Widths
from polyscene.nn.fields import Batch, Plan
from polyscene.nn.tasks import Experts, Inputs, Mixer, Room, Towers
from polyscene.nn.trained import Positive, Share
from polyscene.rank.tasks import MultiTask


class Mmoe(MultiTask, frozen=True, kw_only=True, tag="mmoe"):
    """`experts` bodies of the widths `hidden`; each task mixes them by its own softmax gate over the input.

    Source: Ma et al. 2018, "Modeling task relationships in multi-task learning with multi-gate
    mixture-of-experts".
    """

    dim: Positive = 16
    experts: Positive = 4
    hidden: Widths = (64,)
    towers: Widths = (32,)
    dropout: Share = 0.1

    def network(self, plan: Plan, chance: torch.Generator) -> "Network":
        """Experts, then a gate and a tower a task."""
        return Network(self, Room.of(plan), chance)


class Network(nn.Module):
    """Experts, gates and towers."""

    def __init__(self, config: Mmoe, room: Room, chance: torch.Generator) -> None:
        super().__init__()
        self.inputs = Inputs(room, config.dim, chance)
        width = self.inputs.width
        self.experts = Experts(config.experts, width, config.hidden, config.dropout, chance)
        self.gates = nn.ModuleList(Mixer(width, config.experts, chance) for _ in range(room.tasks))
        self.towers = Towers(room.tasks, self.experts.width, config.towers, config.dropout, chance)

    def forward(self, batch: Batch) -> Tensor:
        """(B, T) logits."""
        x_BX = self.inputs(batch)
        experts_BEH = self.experts(x_BX)
        logits_BT: Tensor = self.towers([gate(x_BX, experts_BEH) for gate in self.gates])
        return logits_BT
