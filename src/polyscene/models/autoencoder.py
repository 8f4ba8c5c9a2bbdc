"""Autoencoder: a user's items squeezed through a narrow layer and rebuilt.

Legend: B users, D width, R item rows of the part.
"""

from typing import Annotated

import msgspec
import torch
from torch import Tensor

from polyscene.core.contracts import Data, Run, State
from polyscene.nn.bags import BAG_LOSSES, Bag, BagLoss
from polyscene.nn.layers import Dropout, linear
from polyscene.nn.rebuild import Rebuilder, Rebuilding, Rebuilt
from polyscene.nn.trained import Positive, Share, Trained


class Autoencoder(Trained, frozen=True, kw_only=True, tag="autoencoder"):
    """An encoder, a bottleneck of width `dim` and a decoder over all items that a user touched.

    ``loss="mse"`` asks for 1 at these and 0 at all others, ``"cross_entropy"`` for a softmax that gives
    them its mass. `hidden`: width of encoder and decoder; `dropout`: share of the encoder's output left
    out while learning. `batch_size` counts users; a batch needs memory for its users times all items. See
    `Trained` for how it learns. Order is not read; unknown items of a history are skipped; an empty history
    gets the log popularity. Items put after the fit are not scored.

    Source: Sedhain et al. 2015 (AutoRec, user-based), over implicit feedback: every item is a target, and
    input rows are scaled to length 1.
    """

    dim: Positive = 128
    hidden: Positive = 512
    dropout: Share = 0.5
    loss: BagLoss = "mse"
    epochs: Annotated[int, msgspec.Meta(ge=0)] = 30
    batch_size: Positive = 256
    learning_rate: Annotated[float, msgspec.Meta(gt=0)] = 1e-3

    def fit(self, data: Data, run: Run, warm: Rebuilt | None = None) -> Rebuilt:
        """Learns to rebuild; see `Rebuilding.fit`."""
        return self._rebuilding().fit(data, run, warm)

    def load(self, state: State, run: Run) -> Rebuilt:
        """The part as it was saved; see `Rebuilding.load`."""
        return self._rebuilding().load(state, run)

    def _rebuilding(self) -> "Rebuilding[Network]":
        loss = BAG_LOSSES[self.loss]
        return Rebuilding(
            self,
            lambda rows, chance: Network(self, rows, chance),
            lambda network, bag: loss(network.outputs(network.encode(bag)), bag),
        )


class Network(Rebuilder):
    """Items - hidden - dim - hidden - items, with tanh between."""

    def __init__(self, config: Autoencoder, rows: int, chance: torch.Generator) -> None:
        super().__init__(rows, (config.hidden, config.hidden), 0.0, chance)
        self.drop = Dropout(config.dropout, chance)
        self.narrow = linear(config.hidden, config.dim, chance)
        self.wide = linear(config.dim, config.hidden, chance)

    def encode(self, bag: Bag) -> Tensor:
        """(B, D) what the last layer reads."""
        code_BD = torch.tanh(self.narrow(self.drop(torch.tanh(self.inputs(bag)))))
        return torch.tanh(self.wide(code_BD))
