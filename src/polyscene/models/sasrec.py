"""SASRec: a causal Transformer reads a history and predicts the next item.

Legend: B sequences, L positions, D width.
"""

import msgspec
import torch
from torch import Tensor

from polyscene.core.contracts import Data, Run, State
from polyscene.core.errors import ConfigError
from polyscene.lean.model import Form, LeanModel
from polyscene.nn.batching import Padded
from polyscene.nn.layers import BlockKind, Shape, Trunk, table
from polyscene.nn.next_item import HistoryNetwork, Learning, NextItemModel, NextItemPart, Positive


class SasRec(NextItemModel, frozen=True, kw_only=True, tag="sasrec"):
    """A causal Transformer over the newest `max_len` events.

    An item's score is its vector's inner product with what the newest event leads to. See `NextItemConfig`
    for what it learns by, `Trained` for how. Unknown items of a history are skipped; an empty history gets
    the log popularity. Items put after the fit are not scored.

    Source: Kang and McAuley 2018 (SASRec), with full softmax (Klenitskiy and Vasilev 2023), LiGR blocks
    (eSASRec, Tikhonovich et al. 2025), positions counted from the newest event, small batches at a high
    learning rate, and averaged weights. ``block="sasrec"`` has the block of 2018.
    """

    layers: Positive = 2
    heads: Positive = 1
    block: BlockKind = "ligr"

    def __post_init__(self) -> None:
        if self.dim % self.heads:
            raise ConfigError(
                f"sasrec: dim {self.dim} can't be cut into {self.heads} heads; choose a multiple"
            )

    def network(self, rows: int, chance: torch.Generator) -> "Network":
        """Items, and what reads them."""
        return Network(self, rows, chance)

    def learning(self) -> Learning["Network"]:
        """See `NextItemModel.learning`; it answers without torch."""
        return Learning(self, self.network, lean=self._lean)

    def distil(self, elder: NextItemPart, data: Data, run: Run, weight: float) -> NextItemPart:
        """Learns from a larger one too; see `Learning.distil`."""
        return self.learning().distil(elder, data, run, weight)

    def _lean(self, state: State, network: "Network") -> LeanModel:
        """The part without torch; its item vectors are the network's own."""
        tensors = {**state.tensors, "items": network.items.numpy()}
        tensors["ages"] = tensors.pop("positions")
        form = Form(max_len=self.max_len, block=self.block, heads=self.heads)
        return LeanModel.of(State(tensors, {"form": msgspec.to_builtins(form)}))


class Network(HistoryNetwork):
    """Item table, position table and trunk."""

    def __init__(self, config: SasRec, rows: int, chance: torch.Generator) -> None:
        super().__init__()
        self.items = table(rows, config.dim, chance)
        self.positions = table(config.max_len, config.dim, chance)
        shape = Shape(config.dim, config.layers, config.heads, config.block, config.dropout)
        self.trunk = Trunk(shape, chance)

    def forward(self, sequences: Padded, *, newest: bool = False) -> Tensor:
        """(B, L, D) what each position expects next; (B, D) at the newest event only if `newest`."""
        x_BLD = self.items[sequences.rows] + self.positions[sequences.ages]
        output: Tensor = self.trunk(x_BLD * self.items.shape[1] ** 0.5, sequences.last if newest else None)
        return output
