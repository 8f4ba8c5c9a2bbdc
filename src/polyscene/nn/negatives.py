"""Negative items drawn once a step and shared by all its targets.

Legend: N targets of a step, K negatives, R item rows.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from polyscene.core.arrays import Array

SamplerKind = Literal["uniform", "popularity", "in_batch", "mixed"]


@dataclass(frozen=True, slots=True)
class Negatives:
    """What the targets of one step are compared with.

    Shapes: `rows` (K,) int64 item rows, repeats allowed; `log_chance` (K,) float32, log of how often
    the item is expected among the K.
    """

    rows: Tensor
    log_chance: Tensor


class Sampler:
    """Draws about `count` negatives a step; every item counts as seen once at least.

    ``"uniform"``: each item alike. ``"popularity"``: by its count to the `power`. ``"in_batch"``: the
    step's own targets, all of them or a random `count`. ``"mixed"``: half in batch, half uniform. Where two
    sources could have brought an item, its chance is that of both together.

    Source: the logQ of Bengio and Senecal 2008; in-batch after Yi et al. 2019; mixed after Yang et al.
    2020 (mixed negative sampling).
    """

    def __init__(
        self,
        kind: SamplerKind,
        count: int,
        item_counts_R: Array,
        chance: torch.Generator,
        power: float = 0.75,
    ) -> None:
        counts_R = np.maximum(np.asarray(item_counts_R, np.float64), 1.0)
        weights_R = counts_R**power
        self.kind, self.count, self.chance = kind, count, chance
        self._rows = len(counts_R)
        self._log_share_R = self._logs(counts_R / counts_R.sum())
        self._log_weight_R = self._logs(weights_R / weights_R.sum())
        self._heights_R = torch.from_numpy(weights_R.cumsum() / weights_R.sum()).to(chance.device)

    def _logs(self, shares_R: Array) -> Tensor:
        return torch.from_numpy(np.log(shares_R)).float().to(self.chance.device)

    def draw(self, targets_N: Tensor) -> Negatives:
        """Negatives for a step with these targets; a target may be among them."""
        if self.kind == "uniform":
            rows_K = self._uniform(self.count)
            return Negatives(rows_K, self._expected_uniform(rows_K, self.count))
        if self.kind == "popularity":
            rows_K = self._popular(self.count)
            return Negatives(rows_K, self._log_weight_R[rows_K] + math.log(self.count))
        if self.kind == "in_batch":
            rows_K = self._of(targets_N, self.count)
            return Negatives(rows_K, self._expected_in_batch(rows_K, len(rows_K)))
        own_K = self._of(targets_N, self.count // 2)
        rows_K = torch.cat([own_K, self._uniform(self.count - len(own_K))])
        both = (
            self._expected_in_batch(rows_K, len(own_K)),
            self._expected_uniform(rows_K, self.count - len(own_K)),
        )
        return Negatives(rows_K, torch.logaddexp(*both))

    def _uniform(self, count: int) -> Tensor:
        return torch.randint(self._rows, (count,), generator=self.chance, device=self.chance.device)

    def _popular(self, count: int) -> Tensor:
        draws = torch.rand(count, generator=self.chance, device=self.chance.device, dtype=torch.float64)
        # The last height may be a rounding below 1.
        return torch.searchsorted(self._heights_R, draws, right=True).clamp_(max=self._rows - 1)

    def _of(self, targets_N: Tensor, count: int) -> Tensor:
        if count >= len(targets_N):
            return targets_N
        chosen = torch.randperm(len(targets_N), generator=self.chance, device=self.chance.device)[:count]
        return targets_N[chosen]

    def _expected_uniform(self, rows_K: Tensor, count: int) -> Tensor:
        return torch.full_like(rows_K, count, dtype=torch.float32).div_(self._rows).log_()

    def _expected_in_batch(self, rows_K: Tensor, count: int) -> Tensor:
        return self._log_share_R[rows_K] + (math.log(count) if count else -math.inf)
