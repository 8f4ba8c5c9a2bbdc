"""Denoising autoencoder: a user's items rebuilt from some of them.

Legend: B users, D width, R item rows of the part.
"""

import torch
from torch import Tensor

from polyscene.nn.bags import BAG_LOSSES, Bag, BagLoss
from polyscene.nn.rebuild import Autoencoding, Rebuilder, Rebuilding
from polyscene.nn.trained import Positive, Share


class Denoising(Autoencoding, frozen=True, kw_only=True, tag="denoising"):
    """One layer of width `dim` that must rebuild all of a user's items from what corruption left of them.

    `corrupt`: share of a user's items hidden from the network while it learns. ``loss="cross_entropy"``
    is the multinomial likelihood, ``"mse"`` the squared error against 1 at the user's items and 0
    elsewhere. `batch_size` counts users; a batch needs memory for its users times all items. See `Trained`
    for how it learns. Order is not read; unknown items of a history are skipped; an empty history gets the
    log popularity. Items put after the fit are not scored.

    Source: Wu et al. 2016 (CDAE) without its vector for each user, so that who was never seen is answered
    too; with the multinomial likelihood this is Mult-DAE (Liang et al. 2018).
    """

    dim: Positive = 200
    corrupt: Share = 0.5
    loss: BagLoss = "cross_entropy"

    def rebuilding(self) -> Rebuilding["Network"]:
        """See `Autoencoding.rebuilding`."""
        loss = BAG_LOSSES[self.loss]
        return Rebuilding(
            self,
            lambda rows, chance: Network(rows, (self.dim, self.dim), self.corrupt, chance),
            lambda network, bag: loss(network.outputs(network.encode(bag)), bag),
        )


class Network(Rebuilder):
    """Items - dim - items, with tanh between."""

    def encode(self, bag: Bag) -> Tensor:
        """(B, D) what the last layer reads."""
        return torch.tanh(self.inputs(bag))
