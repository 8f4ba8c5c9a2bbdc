"""LSTM: two layers of long short-term memory, wide then narrow, predict the next item.

Legend: B sequences, L positions, D width, H hidden width.
"""

from typing import Annotated

import msgspec
import torch
from torch import Tensor

from polyscene.nn.batching import Padded
from polyscene.nn.layers import Dropout, table
from polyscene.nn.next_item import HistoryNetwork, NextItemModel, Positive
from polyscene.nn.recurrent import recurrent


class Lstm(NextItemModel, frozen=True, kw_only=True, tag="lstm"):
    """A layer of width `hidden` and one of width `dim`, with dropout after each, over the newest events.

    An item's score is its vector's inner product with the second layer's newest state; item vectors are
    both input and output. See `NextItemConfig` for what it learns by, `Trained` for how. Unknown items of
    a history are skipped; an empty history gets the log popularity. Items put after the fit are not scored.

    Source: Hochreiter and Schmidhuber 1997 (LSTM), stacked as is usual in classifiers of clicks, here as a
    model of the next item with full softmax.
    """

    hidden: Positive = 128
    batch_size: Positive = 3200
    learning_rate: Annotated[float, msgspec.Meta(gt=0)] = 3e-3

    def network(self, rows: int, chance: torch.Generator) -> "Network":
        """Items, and what reads them."""
        return Network(self, rows, chance)


class Network(HistoryNetwork):
    """Item table and two recurrent layers."""

    def __init__(self, config: Lstm, rows: int, chance: torch.Generator) -> None:
        super().__init__()
        self.items = table(rows, config.dim, chance)
        self.drop = Dropout(config.dropout, chance)
        self.wide = recurrent("lstm", config.dim, config.hidden, 1, chance)
        self.narrow = recurrent("lstm", config.hidden, config.dim, 1, chance)

    def forward(self, sequences: Padded, *, newest: bool = False) -> Tensor:
        """(B, L, D) what each position expects next; (B, D) at the newest event only if `newest`."""
        x_BLD = self.items[sequences.rows] * self.items.shape[1] ** 0.5
        wide_BLH = self.drop(self.wide(x_BLD)[0])
        output: Tensor = self.drop(sequences.picked(self.narrow(wide_BLH)[0], newest=newest))
        return output
