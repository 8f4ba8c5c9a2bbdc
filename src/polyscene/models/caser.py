"""Caser: filters over the image that the last few items make predict the next item.

Legend: B sequences, L positions, W events of a window, D width, K filters of a height, F all filters.
"""

from typing import Annotated

import msgspec
import torch
from torch import Tensor, nn
from torch.nn import functional

from polyscene.nn.batching import Padded
from polyscene.nn.layers import Dropout, linear, table
from polyscene.nn.next_item import HistoryNetwork, NextItemModel, Positive


class Caser(NextItemModel, frozen=True, kw_only=True, tag="caser"):
    """Convolutions over the newest `window` events, read at every position of the newest `max_len`.

    `horizontal` filters of each height from 1 to `window` find patterns of consecutive items wherever in
    the window they stand (the largest response counts), `vertical` ones weigh the window's places. See
    `NextItemConfig` for what it learns by, `Trained` for how. Unknown items of a history are skipped; an
    empty history gets the log popularity. Items put after the fit are not scored.

    Source: Tang and Wang 2018 (Caser), without the vector that they keep of each user: people are known by
    their histories alone. Item vectors are both input and output, and the next item alone is a target.
    """

    window: Annotated[int, msgspec.Meta(ge=1, le=64)] = 5
    horizontal: Positive = 16
    vertical: Positive = 4

    def network(self, rows: int, chance: torch.Generator) -> "Network":
        """Items, and what reads them."""
        return Network(self, rows, chance)


class Network(HistoryNetwork):
    """Item table, filters of every height, and the layer that joins what they find."""

    def __init__(self, config: Caser, rows: int, chance: torch.Generator) -> None:
        super().__init__()
        dim, self.window = config.dim, config.window
        self.items = table(rows, dim, chance)
        self.drop = Dropout(config.dropout, chance)
        self.horizontal = nn.ModuleList(
            linear(height * dim, config.horizontal, chance) for height in range(1, config.window + 1)
        )
        self.vertical = linear(config.window, config.vertical, chance, bias=False)
        found = config.window * config.horizontal + config.vertical * dim
        self.output = linear(found, dim, chance)

    def forward(self, sequences: Padded, *, newest: bool = False) -> Tensor:
        """(B, L, D) what each position expects next; (B, D) at the newest event only if `newest`."""
        x_BLD = self.items[sequences.rows] * self.items.shape[1] ** 0.5
        # Before the first event stands nothing: zeros, as in the paper's padding.
        padded_BMD = functional.pad(x_BLD, (0, 0, self.window - 1, 0))
        windows_xDW = sequences.picked(padded_BMD.unfold(1, self.window, 1), newest=newest)
        found = [
            self._highest(windows_xDW, layer, height) for height, layer in enumerate(self.horizontal, 1)
        ]
        found.append(self.vertical(windows_xDW).flatten(-2))
        output: Tensor = functional.relu(self.output(self.drop(torch.cat(found, -1))))
        return output

    def _highest(self, windows_xDW: Tensor, layer: nn.Module, height: int) -> Tensor:
        """(x, K) the largest response of the filters of one height over the window."""
        patches_xPE = windows_xDW.unfold(-1, height, 1).transpose(-3, -2).flatten(-2)
        return functional.relu(layer(patches_xPE)).amax(-2)
