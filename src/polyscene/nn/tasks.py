"""Towers, experts and gates: what networks with several tasks or scenarios are made of.

Legend: B rows, X width of the input, E experts, H width of an expert, T tasks, S scenarios.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from polyscene.nn.fields import Batch, FieldVectors, Mlp, Plan
from polyscene.nn.layers import linear


@dataclass(frozen=True, slots=True)
class Room(Plan):
    """A plan with several tasks, whose last coded field is the scenario, 0 for one that is not known."""

    tasks: int = 1

    @property
    def scenarios(self) -> int:
        """Codes of the scenario (S)."""
        return self.sizes[-1]

    @classmethod
    def of(cls, plan: Plan) -> "Room":
        """The plan itself, with one task where it speaks of none."""
        return plan if isinstance(plan, Room) else cls(plan.sizes, plan.numbers, plan.past)


class Flat(nn.Module):
    """A network's (B, T) logits as (B T,), row by row: what `clicks.logits` and `mean_loss` read."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, batch: Batch) -> Tensor:
        """(B T,)."""
        logits_BT: Tensor = self.network(batch)
        return logits_BT.flatten()


class Inputs(nn.Module):
    """Vectors of the coded fields side by side, then the numbers as they are."""

    def __init__(self, plan: Plan, dim: int, chance: torch.Generator) -> None:
        super().__init__()
        self.vectors = FieldVectors(Plan(plan.sizes, 0), dim, chance)
        self.width = len(plan.sizes) * dim + plan.numbers

    def forward(self, batch: Batch) -> Tensor:
        """(B, X)."""
        return torch.cat([self.vectors.words(batch).flatten(1), batch.numbers], 1)


class Experts(nn.Module):
    """Dense layers of one shape, several times over, each with weights of its own."""

    def __init__(
        self, count: int, inputs: int, hidden: Sequence[int], dropout: float, chance: torch.Generator
    ) -> None:
        super().__init__()
        self.each = nn.ModuleList(Mlp(inputs, hidden, dropout, chance) for _ in range(count))
        self.width = hidden[-1] if hidden else inputs

    def forward(self, x_BX: Tensor) -> Tensor:
        """(B, E, H) of one input for all."""
        return torch.stack([expert(x_BX) for expert in self.each], 1)


class Mixer(nn.Module):
    """A softmax gate over experts: how much each counts, by what the gate reads."""

    def __init__(self, inputs: int, experts: int, chance: torch.Generator) -> None:
        super().__init__()
        self.layer = linear(inputs, experts, chance, bias=False)

    def forward(self, x_BX: Tensor, experts_BEH: Tensor) -> Tensor:
        """(B, H)."""
        shares_BE = self.layer(x_BX).softmax(1)
        return torch.einsum("be,beh->bh", shares_BE, experts_BEH)


class Towers(nn.Module):
    """Dense layers and a logit for each task."""

    def __init__(
        self, tasks: int, inputs: int, hidden: Sequence[int], dropout: float, chance: torch.Generator
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Mlp(inputs, hidden, dropout, chance) for _ in range(tasks))
        width = hidden[-1] if hidden else inputs
        self.outputs = nn.ModuleList(linear(width, 1, chance) for _ in range(tasks))

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """(B, T) logits of a (B, H) input for each task."""
        each = zip(self.layers, self.outputs, inputs, strict=True)
        return torch.cat([output(layers(x_BH)) for layers, output, x_BH in each], 1)


class GateUnit(nn.Module):
    """Two layers whose output, between 0 and 2, is multiplied onto what it gates.

    Source: the Gate Neural Unit of Chang et al. 2023, "PEPNet".
    """

    def __init__(self, inputs: int, hidden: int, outputs: int, chance: torch.Generator) -> None:
        super().__init__()
        self.hidden = linear(inputs, hidden, chance)
        self.output = linear(hidden, outputs, chance)

    def forward(self, prior_BX: Tensor) -> Tensor:
        """(B, outputs)."""
        return 2 * torch.sigmoid(self.output(functional.relu(self.hidden(prior_BX))))


class StarLayer(nn.Module):
    """A dense layer whose weights are those of all scenarios times those of the row's own.

    Biases add up. A scenario begins with ones and zeros, so that all of them are the shared layer at first.

    Source: Sheng et al. 2021, "One model to serve all: star topology adaptive recommender".
    """

    def __init__(self, inputs: int, outputs: int, scenarios: int, chance: torch.Generator) -> None:
        super().__init__()
        self.shared = linear(inputs, outputs, chance)
        # Kept as what is added to 1, so that weight decay draws toward the shared layer and not toward 0.
        self.own = nn.Parameter(torch.zeros(scenarios, outputs * inputs, device=chance.device))
        self.biases = nn.Parameter(torch.zeros(scenarios, outputs, device=chance.device))

    def forward(self, x_BX: Tensor, scenario_B: Tensor) -> Tensor:
        """(B, outputs); rows of one scenario are multiplied together."""
        weight, bias = self.shared.weight, self.shared.bias
        found = x_BX.new_zeros(len(x_BX), len(bias))
        for code in sorted(set(scenario_B.tolist())):
            rows = (scenario_B == code).nonzero()[:, 0]
            own = 1 + self.own[code].view_as(weight)
            said = functional.linear(x_BX[rows], weight * own, bias + self.biases[code])
            found = found.index_copy(0, rows, said)
        return found


class PartitionedNorm(nn.Module):
    """Each column in standard deviations from the mean of the row's scenario, then scaled and moved.

    In training mean and deviation are those of the scenario's rows in the batch; else those that `settle`
    found over all rows. Scales and offsets are one for all times, or plus, one of the scenario's own. A
    scenario that `settle` saw no row of is normed by all rows.

    Source: Sheng et al. 2021; theirs keeps moving averages instead of settling, and draws each batch from
    one scenario.
    """

    means: Tensor
    spreads: Tensor

    def __init__(self, width: int, scenarios: int, chance: torch.Generator) -> None:
        super().__init__()
        device = chance.device
        self.scale = nn.Parameter(torch.ones(width, device=device))
        self.offset = nn.Parameter(torch.zeros(width, device=device))
        self.scales = nn.Parameter(torch.zeros(scenarios, width, device=device))
        self.offsets = nn.Parameter(torch.zeros(scenarios, width, device=device))
        self.register_buffer("means", torch.zeros(scenarios, width, device=device))
        self.register_buffer("spreads", torch.ones(scenarios, width, device=device))

    def forward(self, x_BX: Tensor, scenario_B: Tensor) -> Tensor:
        """(B, X)."""
        means_SX, spreads_SX = (
            self._moments(x_BX, scenario_B) if self.training else (self.means, self.spreads)
        )
        standard_BX = (x_BX - means_SX[scenario_B]) / spreads_SX[scenario_B]
        scale_SX, offset_SX = self.scale * (1 + self.scales), self.offset + self.offsets
        return standard_BX * scale_SX[scenario_B] + offset_SX[scenario_B]

    def settle(self, x_NX: Tensor, scenario_N: Tensor) -> None:
        """Keeps the means and deviations of these rows for all later answers."""
        if not len(x_NX):
            return
        means_SX, spreads_SX = self._moments(x_NX, scenario_N)
        unseen = torch.bincount(scenario_N, minlength=len(means_SX)) == 0
        means_SX[unseen], spreads_SX[unseen] = x_NX.mean(0), _spread(x_NX.var(0, correction=0))
        self.means.copy_(means_SX)
        self.spreads.copy_(spreads_SX)

    def _moments(self, x_BX: Tensor, scenario_B: Tensor) -> tuple[Tensor, Tensor]:
        """(S, X) each; 0 and a deviation of next to nothing for a scenario without rows."""
        zeros_SX = torch.zeros_like(self.means)
        counts_S1 = torch.bincount(scenario_B, minlength=len(self.means)).clamp(min=1)[:, None]
        means_SX = zeros_SX.index_add(0, scenario_B, x_BX) / counts_S1
        apart_BX = (x_BX - means_SX[scenario_B]).square()
        return means_SX, _spread(zeros_SX.index_add(0, scenario_B, apart_BX) / counts_S1)


def _spread(variance: Tensor) -> Tensor:
    return (variance + 1e-5).sqrt()
