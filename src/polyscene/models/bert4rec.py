"""BERT4Rec: a Transformer that reads both ways fills the holes of a history; the last is what comes next.

Legend: B sequences, L positions, D width, H heads, N holes, R item rows.
"""

from dataclasses import replace
from typing import Annotated, ClassVar

import msgspec
import torch
from torch import Tensor, nn
from torch.nn import functional

from polyscene.core.errors import ConfigError
from polyscene.nn.batching import Batch, Padded
from polyscene.nn.layers import Dropout, joined, linear, split, table
from polyscene.nn.next_item import HistoryNetwork, NextItemModel, Positive, Share


class Bert4Rec(NextItemModel, frozen=True, kw_only=True, tag="bert4rec"):
    """A Transformer without causal mask over the newest `max_len` events and a hole after them.

    It learns to name the events behind holes: a share `hide` of each history, or, in a share `newest` of
    the histories, only the newest event, which is what is asked later. See `NextItemConfig` for what it
    learns by, `Trained` for how. Unknown items of a history are skipped; an empty history gets the log
    popularity. Items put after the fit are not scored.

    Source: Sun et al. 2019 (BERT4Rec), with norms before the layers and positions counted from the newest
    event; every hidden event becomes a hole, and holes are drawn anew each epoch.
    """

    layers: Positive = 2
    heads: Positive = 2
    hide: Annotated[float, msgspec.Meta(gt=0, lt=1)] = 0.4
    newest: Share = 0.1
    epochs: Annotated[int, msgspec.Meta(ge=0)] = 60

    def __post_init__(self) -> None:
        if self.dim % self.heads:
            raise ConfigError(
                f"bert4rec: dim {self.dim} can't be cut into {self.heads} heads; choose a multiple"
            )

    def network(self, rows: int, chance: torch.Generator) -> "Network":
        """Items, and what reads them."""
        return Network(self, rows, chance)


class Network(HistoryNetwork):
    """Item table with a row for holes, positions, blocks, and what turns a hole into logits."""

    by_item: ClassVar[tuple[str, ...]] = ("items", "bias")

    def __init__(self, config: Bert4Rec, rows: int, chance: torch.Generator) -> None:
        super().__init__()
        self.config, self.chance = config, chance
        self.items = table(rows, config.dim, chance)
        self.bias = nn.Parameter(torch.zeros(rows, device=chance.device))
        self.hole = table(1, config.dim, chance)
        self.positions = table(config.max_len + 1, config.dim, chance)
        self.drop = Dropout(config.dropout, chance)
        self.blocks = nn.ModuleList(Block(config, chance) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.dim, device=chance.device)
        self.project = linear(config.dim, config.dim, chance)

    def forward(self, sequences: Padded, *, newest: bool = False) -> Tensor:
        """(B, D + 1) what stands in a hole after the newest event; else (B, L, D + 1) at each place itself.

        The last number is a 1 for the item's bias.
        """
        if newest:
            holes_B = sequences.rows.new_full(sequences.last.shape, len(self.items))
            sequences = longer(sequences, holes_B)
        items_RD = torch.cat([self.items, self.hole])
        x_BLD = items_RD[sequences.rows] + self.positions[sequences.ages]
        x_BLD = self.drop(x_BLD * self.items.shape[1] ** 0.5)
        for block in self.blocks:
            x_BLD = block(x_BLD, sequences.real)
        x_xD = sequences.picked(self.norm(x_BLD), newest=newest)
        return functional.pad(functional.gelu(self.project(x_xD)), (0, 1), value=1.0)

    def outputs(self) -> Tensor:
        """(R, D + 1) vector and bias of each item."""
        return torch.cat([self.items, self.bias[:, None]], 1)

    def lesson(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Vectors (N, D + 1) of holes, and the rows (N,) of the events behind them."""
        newest_B = batch.targets[batch.inputs.real.sum(1).cumsum(0) - 1]
        whole = longer(batch.inputs, newest_B)
        hidden_BL = self._hidden(whole)
        holed = replace(whole, rows=torch.where(hidden_BL, len(self.items), whole.rows))
        vectors_ND: Tensor = self(holed)[hidden_BL]
        return vectors_ND, whole.rows[hidden_BL]

    def _hidden(self, whole: Padded) -> Tensor:
        """(B, L) bool, where holes shall be: one at least in each sequence."""
        config, device = self.config, whole.rows.device
        hidden_BL = torch.rand(whole.rows.shape, generator=self.chance, device=device) < config.hide
        hidden_BL &= whole.real
        asked_B1 = torch.rand(len(whole.rows), 1, generator=self.chance, device=device) < config.newest
        newest_BL = (whole.ages == 0) & whole.real
        return torch.where(asked_B1 | ~hidden_BL.any(1, keepdim=True), newest_BL, hidden_BL)


class Block(nn.Module):
    """Self-attention over all real places, then a GELU network of hidden width 4 D; norms come first."""

    def __init__(self, config: Bert4Rec, chance: torch.Generator) -> None:
        super().__init__()
        dim, self.heads = config.dim, config.heads
        self.drop = Dropout(config.dropout, chance)
        self.attention_norm = nn.LayerNorm(dim, device=chance.device)
        self.inputs = linear(dim, 3 * dim, chance)
        self.attended = linear(dim, dim, chance)
        self.hidden_norm = nn.LayerNorm(dim, device=chance.device)
        self.hidden = linear(dim, 4 * dim, chance)
        self.output = linear(4 * dim, dim, chance)

    def forward(self, x_BLD: Tensor, real_BL: Tensor) -> Tensor:
        """(B, L, D)."""
        parts = self.inputs(self.attention_norm(x_BLD)).chunk(3, -1)
        q_NLE, k_NLE, v_NLE = (split(part_BLD, self.heads) for part_BLD in parts)
        mask_B1L = torch.zeros_like(real_BL, dtype=x_BLD.dtype).masked_fill_(~real_BL, -torch.inf)[:, None]
        mask_N1L = mask_B1L.repeat_interleave(self.heads, 0)
        scores_NLL = torch.baddbmm(mask_N1L, q_NLE, k_NLE.mT, alpha=q_NLE.shape[-1] ** -0.5)
        attended_NLE = torch.bmm(scores_NLL.softmax(-1), v_NLE)
        x_BLD = x_BLD + self.drop(self.attended(joined(attended_NLE, self.heads)))
        hidden_BLF = functional.gelu(self.hidden(self.hidden_norm(x_BLD)))
        output: Tensor = x_BLD + self.drop(self.output(self.drop(hidden_BLF)))
        return output


def longer(sequences: Padded, rows_B: Tensor) -> Padded:
    """The sequences with one more event each at their newest end."""
    every_B, last_B = torch.arange(rows_B.shape[0], device=rows_B.device), sequences.last + 1
    rows_BL = functional.pad(sequences.rows, (0, 1))
    rows_BL[every_B, last_B] = rows_B
    age_BL = last_B[:, None] - torch.arange(rows_BL.shape[1], device=rows_B.device)
    return Padded(rows_BL, age_BL.clamp(min=0), age_BL >= 0, last_B)
