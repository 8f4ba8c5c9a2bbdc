"""Autoencoder: a user's items squeezed through a narrow layer and rebuilt.

Legend: B users, D width, R item rows of the part.
"""

import torch
from torch import Tensor

from polyscene.nn.bags import BAG_LOSSES, Bag, BagLoss
from polyscene.nn.layers import Dropout, linear
from polyscene.nn.rebuild import Autoencoding, Rebuilder, Rebuilding
from polyscene.nn.trained import Positive, Share


class Autoencoder(Autoencoding, frozen=True, kw_only=True, tag="autoencoder"):
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

    def rebuilding(self) -> Rebuilding["Network"]:
        """See `Autoencoding.rebuilding`."""
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
