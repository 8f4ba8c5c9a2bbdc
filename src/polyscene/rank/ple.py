"""PLE: experts of each task beside shared ones, in several levels.

Legend: B rows, E experts, H width of an expert, T tasks.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from polyscene.nn.clicks import Widths
from polyscene.nn.fields import Batch, Plan
from polyscene.nn.tasks import Experts, Inputs, Mixer, Room, Towers
from polyscene.nn.trained import Positive, Share
from polyscene.rank.tasks import MultiTask


class Ple(MultiTask, frozen=True, kw_only=True, tag="ple"):
    """`levels` of extraction: in each, a task mixes its own `experts` with the `shared` ones by a gate.

    Between levels the shared experts read a mix of all experts of the level below. An expert has the widths
    `hidden`. One level is CGC of the same paper.

    Source: Tang et al. 2020, "Progressive layered extraction (PLE)".
    """

    dim: Positive = 16
    levels: Positive = 2
    experts: Positive = 2
    shared: Positive = 2
    hidden: Widths = (64,)
    towers: Widths = (32,)
    dropout: Share = 0.1

    def network(self, plan: Plan, chance: torch.Generator) -> "Network":
        """Levels of extraction, then a tower a task."""
        return Network(self, Room.of(plan), chance)


class Network(nn.Module):
    """Levels and towers."""

    def __init__(self, config: Ple, room: Room, chance: torch.Generator) -> None:
        super().__init__()
        self.inputs = Inputs(room, config.dim, chance)
        self.levels = nn.ModuleList()
        width = self.inputs.width
        for number in range(1, config.levels + 1):
            level = Level(config, room.tasks, width, chance, last=number == config.levels)
            self.levels.append(level)
            width = level.width
        self.towers = Towers(room.tasks, width, config.towers, config.dropout, chance)
        self.tasks = room.tasks

    def forward(self, batch: Batch) -> Tensor:
        """(B, T) logits."""
        x_BX = self.inputs(batch)
        inputs = [x_BX] * (self.tasks + 1)
        for level in self.levels:
            inputs = level(inputs)
        logits_BT: Tensor = self.towers(inputs[: self.tasks])
        return logits_BT


class Level(nn.Module):
    """One extraction: T task-specific inputs and the shared one in, as many mixes out; the last has T."""

    def __init__(
        self, config: Ple, tasks: int, inputs: int, chance: torch.Generator, *, last: bool
    ) -> None:
        super().__init__()
        counts = [config.experts] * tasks + [config.shared]
        self.experts = nn.ModuleList(
            Experts(count, inputs, config.hidden, config.dropout, chance) for count in counts
        )
        self.width = config.hidden[-1] if config.hidden else inputs
        own = config.experts + config.shared
        self.gates = nn.ModuleList(Mixer(inputs, own, chance) for _ in range(tasks))
        if not last:
            self.gates.append(Mixer(inputs, sum(counts), chance))

    def forward(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        """(B, H) for each task, and one of all experts unless this is the last level."""
        found = [experts(x_BX) for experts, x_BX in zip(self.experts, inputs, strict=True)]
        *own, shared_BEH = found
        sources = [torch.cat([each_BEH, shared_BEH], 1) for each_BEH in own]
        sources.append(torch.cat(found, 1))
        mixes = zip(self.gates, inputs, sources, strict=False)  # the last level mixes nothing shared
        return [gate(x_BX, experts_BEH) for gate, x_BX, experts_BEH in mixes]
