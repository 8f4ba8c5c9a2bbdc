"""Heads that say what a user would do with an item, beside whether it comes next.

Legend: N events, B queries, D width, A kinds of action; ``x_xD`` any leading axes.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from polyscene.core.arrays import Array, Floats
from polyscene.nn.layers import linear


@dataclass(frozen=True, slots=True)
class ValueScale:
    """What the values of each kind of action are like: a rating's mean is not a dwell time's.

    Shapes: `mean`, `spread` (A,) float32, in the data's units; 0 for a kind without values.
    """

    mean: Floats
    spread: Floats

    @classmethod
    def of(cls, action_N: Array, value_N: Array, actions: int) -> "ValueScale":
        """The scale of these events; what is not finite is no value."""
        known_N = np.isfinite(value_N)
        action, value = action_N[known_N], value_N[known_N].astype(np.float64)
        count_A = np.maximum(np.bincount(action, minlength=actions), 1)
        mean_A = np.bincount(action, value, actions) / count_A
        spread_A = np.sqrt(np.bincount(action, (value - mean_A[action]) ** 2, actions) / count_A)
        return cls(mean_A.astype(np.float32), spread_A.astype(np.float32))

    def tensors(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """Mean and spread on a device."""
        return torch.from_numpy(self.mean).to(device), torch.from_numpy(self.spread).to(device)


class ActionHeads(nn.Module):
    """Which kind of action the next event is, given its item, and with what value.

    An event of our log has exactly one action, so the kinds share one softmax; a page that a user both
    clicks and likes is two events. With `scale` each kind also has a value (rating, dwell seconds ...),
    learned in standard deviations from its mean, so that kinds of different units weigh alike.

    Source: ours; the shared layer over history, item and their product is that of neural matrix
    factorisation (He et al. 2017), the robust loss Huber 1964.
    """

    def __init__(
        self, dim: int, actions: int, chance: torch.Generator, scale: ValueScale | None = None
    ) -> None:
        super().__init__()
        self.actions, self.scale = actions, scale
        self.history = linear(dim, dim, chance)
        self.item = linear(dim, dim, chance, bias=False)
        self.both = linear(dim, dim, chance, bias=False)
        self.output = linear(dim, actions if scale is None else 2 * actions, chance)

    def forward(self, hidden_xD: Tensor, item_xD: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (x, A) over the kinds and standardised values (x, A); the latter (x, 0) without `scale`.

        The leading axes broadcast: a history's layer is computed once for all its candidates.
        """
        joint_xD = self.history(hidden_xD) + self.item(item_xD) + self.both(hidden_xD * item_xD)
        output = self.output(functional.silu(joint_xD))
        return output[..., : self.actions], output[..., self.actions :]

    def loss(self, hidden_ND: Tensor, item_ND: Tensor, action_N: Tensor, value_N: Tensor) -> Tensor:
        """Mean cross-entropy of the kinds, plus the mean Huber loss of the values that are known.

        An action of -1 and a value that is not finite teach nothing.
        """
        logits_NA, values_NA = self(hidden_ND, item_ND)
        known_N = action_N >= 0
        kinds = functional.cross_entropy(logits_NA, action_N, ignore_index=-1, reduction="sum")
        total: Tensor = kinds / known_N.sum().clamp(min=1)
        if self.scale is None:
            return total
        mean_A, spread_A = self.scale.tensors(hidden_ND.device)
        valued_N = known_N & value_N.isfinite() & (spread_A > 0)[action_N]
        action = action_N[valued_N]
        wanted = (value_N[valued_N] - mean_A[action]) / spread_A[action]
        guess = values_NA[valued_N].gather(1, action[:, None])[:, 0]
        return total + functional.huber_loss(guess, wanted, reduction="sum") / max(len(action), 1)

    def scores(self, hidden_BD: Tensor, items_BND: Tensor) -> tuple[Tensor, Tensor | None]:
        """Of B x N candidates: chance of each kind (B, N, A), and the value to expect (B, N), data's units.

        The latter is each kind's value times its chance, summed; a kind without values adds 0. None
        without `scale`.
        """
        logits_BNA, values_BNA = self(hidden_BD[:, None], items_BND)
        chance_BNA = logits_BNA.softmax(-1)
        if self.scale is None:
            return chance_BNA, None
        mean_A, spread_A = self.scale.tensors(hidden_BD.device)
        return chance_BNA, (chance_BNA * (mean_A + spread_A * values_BNA)).sum(-1)
