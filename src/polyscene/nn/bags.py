"""Bags of items: batches of users as what they touched, in no order, and what a network does with them.

Legend: B users, N items of all bags together, R item rows, H width.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
import torch
from scipy import sparse
from torch import Tensor, nn
from torch.nn import functional

from polyscene.core.arrays import Array, spans
from polyscene.nn.layers import Dropout

BagLoss = Literal["mse", "cross_entropy"]


@dataclass(frozen=True, slots=True)
class Bag:
    """The distinct items of B users, and where in the training this batch stands.

    Shapes: `rows` (N,) int64 item rows, user after user; `starts` (B,) int64 where each user's begin;
    `counts` (B,) int64 how many they are, at least 1. `turn`: passes over all users before this one.
    `progress`: share of all steps made before this one.
    """

    rows: Tensor
    starts: Tensor
    counts: Tensor
    users: Tensor
    turn: int = 0
    progress: float = 0.0

    @classmethod
    def of(
        cls,
        histories: sparse.csr_matrix,
        users: Array,
        device: torch.device,
        *,
        turn: int = 0,
        progress: float = 0.0,
    ) -> "Bag":
        """The chosen rows of a (U, R) matrix; none of them may be empty."""
        first_B = histories.indptr[users].astype(np.int64)
        counts_B = histories.indptr[users + 1] - first_B
        rows_N = histories.indices[spans(first_B, counts_B)].astype(np.int64)
        rows, starts, counts, places = (
            torch.from_numpy(array).to(device)
            for array in (rows_N, np.cumsum(counts_B) - counts_B, counts_B, users.astype(np.int64))
        )
        return cls(rows, starts, counts, places, turn, progress)

    def __len__(self) -> int:
        return len(self.counts)

    def owners(self) -> Tensor:
        """(N,) int64, place in the batch of the user that each item belongs to."""
        users_B = torch.arange(len(self), device=self.rows.device)
        return users_B.repeat_interleave(self.counts, output_size=len(self.rows))

    def split(self, parts: int) -> "list[tuple[Bag, float]]":
        """About equal pieces, fewer if it has fewer users, each with its share of the users."""
        edges = np.unique(np.linspace(0, len(self), min(parts, len(self)) + 1).astype(np.int64)).tolist()
        ends = [*self.starts.tolist(), len(self.rows)]
        return [
            (
                Bag(
                    self.rows[ends[start] : ends[stop]],
                    self.starts[start:stop] - ends[start],
                    self.counts[start:stop],
                    self.users[start:stop],
                    self.turn,
                    self.progress,
                ),
                (stop - start) / len(self),
            )
            for start, stop in pairwise(edges)
        ]


class Bags:
    """Every user with an item, in a new order each pass; `passes` of them make an epoch."""

    def __init__(
        self,
        histories: sparse.csr_matrix,
        *,
        batch_size: int,
        epochs: int,
        seed: int,
        device: torch.device,
        passes: int = 1,
    ) -> None:
        self._histories = histories
        self._users = np.flatnonzero(np.diff(histories.indptr))
        self._batch_size, self._passes = batch_size, passes
        self._epochs, self._seed, self._device = epochs, seed, device

    @property
    def steps(self) -> int:
        """Batches in one epoch; 0 when nobody touched anything."""
        return self._passes * math.ceil(len(self._users) / self._batch_size)

    def epoch(self, number: int) -> Iterator[Bag]:
        """The batches of one epoch; the order depends on seed and number only."""
        rng = np.random.default_rng([self._seed, number])
        step = number * self.steps
        for turn in range(number * self._passes, (number + 1) * self._passes):
            mixed = rng.permutation(self._users)
            for start in range(0, len(mixed), self._batch_size):
                users = mixed[start : start + self._batch_size]
                progress = step / (self._epochs * self.steps)
                yield Bag.of(self._histories, users, self._device, turn=turn, progress=progress)
                step += 1


class BagSum(nn.Module):
    """The first layer: the sum of the items' vectors over the root of their number.

    A dense layer on multi-hot rows scaled to length 1, without its zeros: cost and memory grow with the
    items touched and not with the catalogue. In training each item of a bag is left out with chance
    `corrupt`, and the others are scaled up.
    """

    def __init__(self, rows: int, width: int, corrupt: float, chance: torch.Generator) -> None:
        super().__init__()
        self.vectors = _by_item(rows, width, chance)
        self.bias = nn.Parameter(torch.zeros(width, device=chance.device))
        self.drop = Dropout(corrupt, chance)

    def forward(self, bag: Bag, *, whole: bool = False) -> Tensor:
        """(B, H); `whole` leaves nothing out."""
        share_N = bag.counts.to(self.vectors.dtype).rsqrt().repeat_interleave(bag.counts)
        sum_BH = functional.embedding_bag(
            bag.rows,
            self.vectors,
            bag.starts,
            mode="sum",
            per_sample_weights=share_N if whole else self.drop(share_N),
        )
        return sum_BH + self.bias


class ItemScores(nn.Module):
    """The last layer: a vector and a bias for each item, of which there may be none."""

    def __init__(self, width: int, rows: int, chance: torch.Generator) -> None:
        super().__init__()
        self.vectors = _by_item(rows, width, chance)
        self.bias = nn.Parameter(torch.zeros(rows, device=chance.device))

    def forward(self, x_BH: Tensor, *, still: bool = False) -> Tensor:
        """(B, R); a layer that holds `still` gets no gradient."""
        if still:
            return functional.linear(x_BH, self.vectors.detach(), self.bias.detach())
        return functional.linear(x_BH, self.vectors, self.bias)


def _by_item(rows: int, width: int, chance: torch.Generator) -> nn.Parameter:
    """(R, H) Glorot-uniform weights."""
    weights = torch.empty(rows, width, device=chance.device)
    return nn.Parameter(nn.init.xavier_uniform_(weights, generator=chance) if rows else weights)


def multinomial(logits_BR: Tensor, bag: Bag) -> Tensor:
    """Minus the log-likelihood of each user's items as draws from the softmax; the mean over users.

    Source: Liang et al. 2018, without the dense multi-hot rows that its definition is written with.
    """
    own_N = logits_BR.view(-1)[bag.owners() * logits_BR.shape[1] + bag.rows]
    return (torch.logsumexp(logits_BR, 1) @ bag.counts.to(logits_BR.dtype) - own_N.sum()) / len(bag)


def squared(scores_BR: Tensor, bag: Bag) -> Tensor:
    """The squared distance of each user's scores from 1 at their items and 0 elsewhere; mean over users."""
    own_N = scores_BR.view(-1)[bag.owners() * scores_BR.shape[1] + bag.rows]
    return (scores_BR.square().sum() + (1 - 2 * own_N).sum()) / len(bag)


BAG_LOSSES: Mapping[BagLoss, Callable[[Tensor, Bag], Tensor]] = {
    "mse": squared,
    "cross_entropy": multinomial,
}
