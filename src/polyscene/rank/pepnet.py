"""PEPNet: gates by scenario over the input, gates by user and item over every layer.

Legend: B rows, X width of the input, P width of what a gate reads, H hidden width, T tasks, L places of the
past, F coded fields, D width of a field's vector.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from polyscene.nn.clicks import Widths
from polyscene.nn.fields import Batch, Plan
from polyscene.nn.layers import Dropout, linear
from polyscene.nn.tasks import GateUnit, Inputs, Room
from polyscene.nn.trained import Positive, Share
from polyscene.rank.tasks import MultiTask


class PepNet(MultiTask, frozen=True, kw_only=True, tag="pepnet"):
    """A tower a task whose inputs are gated by the scenario (EPNet) and each layer by who asks (PPNet).

    EPNet reads the scenario's vector, PPNet those of user, item and its categories; both read the gated
    input besides, without teaching it. `gate` is the hidden width of a gate. The user is the mean vector of
    the newest `max_len` events, for there are no rows of users: the paper has one.

    Source: Chang et al. 2023, "PEPNet: parameter and embedding personalized network".
    """

    dim: Positive = 16
    hidden: Widths = (64, 32)
    gate: Positive = 32
    max_len: Positive = 20
    dropout: Share = 0.1

    @property
    def places(self) -> int:
        """Events that say who asks."""
        return self.max_len

    def network(self, plan: Plan, chance: torch.Generator) -> "Network":
        """Gates and towers."""
        return Network(self, Room.of(plan), chance)


class Network(nn.Module):
    """EPNet, then towers with PPNet's gates."""

    def __init__(self, config: PepNet, room: Room, chance: torch.Generator) -> None:
        super().__init__()
        self.inputs = Inputs(room, config.dim, chance)
        width = self.inputs.width
        self.scene = GateUnit(config.dim + width, config.gate, width, chance)
        who = len(room.sizes) * config.dim + width
        widths = [width, *config.hidden]
        self.gates = nn.ModuleList(GateUnit(who, config.gate, room.tasks * each, chance) for each in widths)
        self.towers = nn.ModuleList(Tower(widths, config.dropout, chance) for _ in range(room.tasks))

    def forward(self, batch: Batch) -> Tensor:
        """(B, T) logits."""
        x_BX = self.inputs(batch)
        words_BFD = self.inputs.vectors.words(batch)
        x_BX = x_BX * self.scene(torch.cat([words_BFD[:, -1], x_BX.detach()], 1))
        prior_BP = torch.cat([self._user(batch), words_BFD[:, :-1].flatten(1), x_BX.detach()], 1)
        gates = [gate(prior_BP).chunk(len(self.towers), 1) for gate in self.gates]
        return torch.cat(
            [tower(x_BX, own) for tower, own in zip(self.towers, zip(*gates, strict=True), strict=True)], 1
        )

    def _user(self, batch: Batch) -> Tensor:
        """(B, D) mean vector of the past; zeros where there is none."""
        past_BLD = self.inputs.vectors.past(batch)
        return past_BLD.sum(1) / (batch.past > 0).sum(1, keepdim=True).clamp(min=1)


class Tower(nn.Module):
    """Dense layers and a logit; every layer reads what is below it, gated."""

    def __init__(self, widths: Sequence[int], dropout: float, chance: torch.Generator) -> None:
        super().__init__()
        self.layers = nn.ModuleList(linear(*each, chance) for each in pairwise(widths))
        self.output = linear(widths[-1], 1, chance)
        self.drop = Dropout(dropout, chance)

    def forward(self, x_BH: Tensor, gates: Sequence[Tensor]) -> Tensor:
        """(B, 1), by a gate for the input and one for each layer's output."""
        for layer, gate in zip(self.layers, gates[:-1], strict=True):
            x_BH = self.drop(functional.relu(layer(x_BH * gate)))
        logits_B1: Tensor = self.output(x_BH * gates[-1])
        return logits_B1
