"""NextItNet: dilated causal convolutions read a history and predict the next item.

Legend: B sequences, L positions, D width.
"""

from typing import Annotated

import msgspec
import torch
from torch import Tensor, nn
from torch.nn import functional

from polyscene.nn.batching import Padded
from polyscene.nn.layers import Dropout, linear, table
from polyscene.nn.next_item import HistoryNetwork, NextItemModel, Positive


class NextItNet(NextItemModel, frozen=True, kw_only=True, tag="nextitnet"):
    """Residual blocks of two causal convolutions each, reaching further back by each of `dilations`.

    A block's second convolution is dilated twice as far as its first. With filters of `width` places the
    newest position sees (`width` - 1) * 3 * sum of `dilations` events back. See `NextItemConfig` for what
    it learns by, `Trained` for how. Unknown items of a history are skipped; an empty history gets the log
    popularity. Items put after the fit are not scored.

    Source: Yuan et al. 2019 (NextItNet), the residual block with a norm and a ReLU after each convolution;
    item vectors are both input and output.
    """

    width: Annotated[int, msgspec.Meta(ge=2, le=16)] = 3
    dilations: tuple[Positive, ...] = (1, 4, 1, 4)

    def network(self, rows: int, chance: torch.Generator) -> "Network":
        """Items, and what reads them."""
        return Network(self, rows, chance)


class Network(HistoryNetwork):
    """Item table, blocks, and the layer that leads to logits."""

    def __init__(self, config: NextItNet, rows: int, chance: torch.Generator) -> None:
        super().__init__()
        self.items = table(rows, config.dim, chance)
        self.drop = Dropout(config.dropout, chance)
        self.blocks = nn.ModuleList(Block(config, dilation, chance) for dilation in config.dilations)
        self.norm = nn.LayerNorm(config.dim, device=chance.device)
        self.output = linear(config.dim, config.dim, chance)

    def forward(self, sequences: Padded, *, newest: bool = False) -> Tensor:
        """(B, L, D) what each position expects next; (B, D) at the newest event only if `newest`."""
        x_BLD = self.drop(self.items[sequences.rows] * self.items.shape[1] ** 0.5)
        for block in self.blocks:
            x_BLD = block(x_BLD)
        output: Tensor = self.output(self.drop(self.norm(sequences.picked(x_BLD, newest=newest))))
        return output


class Block(nn.Module):
    """Two causal convolutions with norm and ReLU, the second dilated twice as far, beside the input."""

    def __init__(self, config: NextItNet, dilation: int, chance: torch.Generator) -> None:
        super().__init__()
        self.width, self.dilation = config.width, dilation
        self.layers = nn.ModuleList(linear(config.width * config.dim, config.dim, chance) for _ in range(2))
        self.norms = nn.ModuleList(nn.LayerNorm(config.dim, device=chance.device) for _ in range(2))
        self.drop = Dropout(config.dropout, chance)

    def forward(self, x_BLD: Tensor) -> Tensor:
        """(B, L, D)."""
        y_BLD = x_BLD
        for layer, norm, dilation in zip(
            self.layers, self.norms, (self.dilation, 2 * self.dilation), strict=True
        ):
            y_BLD = functional.relu(norm(layer(self._back(y_BLD, dilation))))
        output: Tensor = x_BLD + self.drop(y_BLD)
        return output

    def _back(self, x_BLD: Tensor, dilation: int) -> Tensor:
        """(B, L, width * D) each place beside those before it, `dilation` apart; zeros before the first."""
        L = x_BLD.shape[1]
        places = [functional.pad(x_BLD, (0, 0, step * dilation, 0))[:, :L] for step in range(self.width)]
        return torch.cat(places, -1)
