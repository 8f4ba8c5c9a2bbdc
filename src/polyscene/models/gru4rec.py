"""GRU4Rec: a recurrent network reads a history event by event and predicts the next item.

Legend: B sequences, L positions, D width, H hidden width.
"""

from typing import Annotated

import msgspec
import torch
from torch import Tensor

from polyscene.nn.batching import Padded
from polyscene.nn.layers import Dropout, linear, table
from polyscene.nn.next_item import HistoryNetwork, NextItemModel, Positive
from polyscene.nn.recurrent import recurrent


class Gru4Rec(NextItemModel, frozen=True, kw_only=True, tag="gru4rec"):
    """Gated recurrent units of width `hidden`, `layers` deep, over the newest `max_len` events.

    An item's score is its vector's inner product with the newest state, brought to width `dim`; item
    vectors are both input and output. See `NextItemConfig` for what it learns by, `Trained` for how.
    Unknown items of a history are skipped; an empty history gets the log popularity. Items put after the
    fit are not scored.

    Source: Hidasi et al. 2016 (GRU4Rec), with full softmax in place of TOP1 or BPR-max, over whole
    histories in place of session-parallel batches (as in Petrov and Macdonald 2022).
    """

    hidden: Positive = 128
    layers: Positive = 1
    batch_size: Positive = 3200
    learning_rate: Annotated[float, msgspec.Meta(gt=0)] = 3e-3

    def network(self, rows: int, chance: torch.Generator) -> "Network":
        """Items, and what reads them."""
        return Network(self, rows, chance)


class Network(HistoryNetwork):
    """Item table, recurrent layers, and the way from their width to that of items."""

    def __init__(self, config: Gru4Rec, rows: int, chance: torch.Generator) -> None:
        super().__init__()
        self.items = table(rows, config.dim, chance)
        self.drop = Dropout(config.dropout, chance)
        self.reads = recurrent("gru", config.dim, config.hidden, config.layers, chance)
        self.output = linear(config.hidden, config.dim, chance)

    def forward(self, sequences: Padded, *, newest: bool = False) -> Tensor:
        """(B, L, D) what each position expects next; (B, D) at the newest event only if `newest`."""
        x_BLD = self.drop(self.items[sequences.rows] * self.items.shape[1] ** 0.5)
        state_xH = sequences.picked(self.reads(x_BLD)[0], newest=newest)
        output: Tensor = self.output(self.drop(state_xH))
        return output
