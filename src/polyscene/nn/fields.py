"""Rows of coded fields and numbers, and the layers that read them.

Legend: N rows in all, B rows of a batch, F coded fields, K numbers, M = F + K, D width of a field's vector,
Q histories, L places of a history.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise, zip_longest

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from polyscene.core.arrays import Array, Codes, Floats
from polyscene.nn.layers import Dropout, linear

GAPS = 24
"""Buckets of the time from an event to the question: seconds by powers of two, 0 for no event."""

SPREAD = 0.1
"""Deviation of first vectors, as in libFM; from 0.02 products of pairs stay near 0 for epochs."""


@dataclass(frozen=True, slots=True)
class Past:
    """What came before: shared by the rows that ask about one history.

    Shapes: `items` (Q, L) int32 codes of field 0, newest last, 0 where there is none; `gaps` (Q, L) int32
    buckets below `GAPS`; `owner` (N,) int64 history of each row.
    """

    items: Codes
    gaps: Codes
    owner: Array


@dataclass(frozen=True, slots=True)
class Sheet:
    """Rows as a network reads them.

    Shapes: `codes` (N, F) int32, 0 for missing; `numbers` (N, K) float32 around 0.
    """

    codes: Codes
    numbers: Floats
    past: Past | None = None

    def __len__(self) -> int:
        return len(self.codes)

    def take(self, rows: Array) -> "Sheet":
        """The chosen rows, in the order asked."""
        past = self.past and Past(self.past.items, self.past.gaps, self.past.owner[rows])
        return Sheet(self.codes[rows], self.numbers[rows], past)


@dataclass(frozen=True, slots=True)
class Plan:
    """What a network must have room for: codes of each coded field, numbers, places of the past."""

    sizes: tuple[int, ...]
    numbers: int
    past: int = 0

    @property
    def fields(self) -> int:
        """Fields of either sort (M)."""
        return len(self.sizes) + self.numbers


@dataclass(frozen=True, slots=True)
class Batch:
    """Some rows of a sheet as tensors: (B, F) and (B, L) int64, (B, K) and (B,) float32."""

    codes: Tensor
    numbers: Tensor
    labels: Tensor
    past: Tensor
    gaps: Tensor

    @classmethod
    def of(cls, sheet: Sheet, labels: Floats, rows: Array, device: torch.device) -> "Batch":
        """The chosen rows; without histories L is 0."""
        past = gaps = np.zeros((len(rows), 0), np.int32)
        if sheet.past is not None:
            owner = sheet.past.owner[rows]
            past, gaps = sheet.past.items[owner], sheet.past.gaps[owner]
        whole = (each.astype(np.int64) for each in (past, gaps))
        arrays = (sheet.codes[rows].astype(np.int64), sheet.numbers[rows], labels[rows], *whole)
        return cls(*(torch.from_numpy(each).to(device) for each in arrays))

    def __len__(self) -> int:
        return len(self.codes)

    def split(self, parts: int) -> "list[tuple[Batch, float]]":
        """About equal pieces, fewer if it has fewer rows, each with its share of the rows."""
        edges = np.unique(np.linspace(0, len(self), min(parts, len(self)) + 1).astype(np.int64)).tolist()
        return [
            (
                Batch(
                    self.codes[start:stop],
                    self.numbers[start:stop],
                    self.labels[start:stop],
                    self.past[start:stop],
                    self.gaps[start:stop],
                ),
                (stop - start) / len(self),
            )
            for start, stop in pairwise(edges)
        ]


class Shuffled:
    """The rows of a sheet in a new order each epoch."""

    def __init__(
        self, sheet: Sheet, labels: Floats, *, batch_size: int, seed: int, device: torch.device
    ) -> None:
        self._sheet, self._labels = sheet, labels
        self._batch_size, self._seed, self._device = batch_size, seed, device

    @property
    def steps(self) -> int:
        """Batches in one epoch."""
        return math.ceil(len(self._sheet) / self._batch_size)

    def epoch(self, number: int) -> Iterator[Batch]:
        """The batches of one epoch; the order depends on seed and number only."""
        order = np.random.default_rng([self._seed, number]).permutation(len(self._sheet))
        for start in range(0, len(order), self._batch_size):
            rows = order[start : start + self._batch_size]
            yield Batch.of(self._sheet, self._labels, rows, self._device)


class FieldVectors(nn.Module):
    """A vector for each code of each field, and for each number one that it multiplies."""

    starts: Tensor

    def __init__(self, plan: Plan, dim: int, chance: torch.Generator) -> None:
        super().__init__()
        starts = torch.tensor(
            [0, *np.cumsum(plan.sizes)[:-1].tolist()][: len(plan.sizes)], dtype=torch.int64
        )
        self.register_buffer("starts", starts.to(chance.device), persistent=False)
        self.codes, self.scales = (
            nn.Parameter(torch.empty(rows, dim, device=chance.device).normal_(std=SPREAD, generator=chance))
            for rows in (sum(plan.sizes), plan.numbers)
        )

    def forward(self, batch: Batch) -> Tensor:
        """(B, M, D)."""
        return torch.cat([self.words(batch), batch.numbers[:, :, None] * self.scales], 1)

    def words(self, batch: Batch) -> Tensor:
        """(B, F, D) of the coded fields alone."""
        return functional.embedding(batch.codes + self.starts, self.codes)

    def past(self, batch: Batch) -> Tensor:
        """(B, L, D) of the past, from the table of field 0; zeros where there is none."""
        past_BLD = functional.embedding(batch.past, self.codes)
        return past_BLD * (batch.past > 0)[:, :, None]


class Wide(nn.Module):
    """The linear part: a weight for each code and each number, and a bias; all begin at 0."""

    def __init__(self, plan: Plan, chance: torch.Generator) -> None:
        super().__init__()
        self.vectors = FieldVectors(plan, 1, chance)
        for weights in self.vectors.parameters():
            nn.init.zeros_(weights)
        self.bias = nn.Parameter(torch.zeros(1, device=chance.device))

    def forward(self, batch: Batch) -> Tensor:
        """(B,)."""
        logits_B: Tensor = self.vectors(batch).sum((1, 2)) + self.bias
        return logits_B


class Mlp(nn.Module):
    """Dense layers with ReLU and dropout behind each; with `norm`, a layer norm stands before the ReLU."""

    def __init__(
        self,
        inputs: int,
        hidden: Sequence[int],
        dropout: float,
        chance: torch.Generator,
        *,
        norm: bool = False,
    ) -> None:
        super().__init__()
        widths = [inputs, *hidden]
        self.layers = nn.ModuleList(linear(before, after, chance) for before, after in pairwise(widths))
        self.norms = nn.ModuleList(nn.LayerNorm(width, device=chance.device) for width in hidden if norm)
        self.drop = Dropout(dropout, chance)
        self.width = widths[-1]

    def forward(self, x_xD: Tensor) -> Tensor:
        """The same leading axes, the last layer's width."""
        for layer, norm in zip_longest(self.layers, self.norms):
            x_xD = layer(x_xD)
            x_xD = self.drop(functional.relu(x_xD if norm is None else norm(x_xD)))
        return x_xD


def squares(network: nn.Module) -> Tensor:
    """() the sum of the squares of all weights that belong to codes of fields."""
    tables = (each.codes for each in network.modules() if isinstance(each, FieldVectors))
    return torch.stack([table.square().sum() for table in tables]).sum()


def pairs(vectors_BMD: Tensor) -> Tensor:
    """(B,) sum of the inner products of all pairs of fields, in time linear in M. Source: Rendle 2010."""
    total_BD, squares_BD = vectors_BMD.sum(1), vectors_BMD.square().sum(1)
    return (total_BD.square() - squares_BD).sum(1) / 2
