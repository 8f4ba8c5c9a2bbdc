"""Mult-VAE: a variational autoencoder whose items are draws from a multinomial.

Legend: B users, D width of the bottleneck, R item rows of the part.
"""

from typing import Annotated

import msgspec
import torch
from torch import Tensor

from polyscene.nn.bags import Bag, multinomial
from polyscene.nn.layers import linear
from polyscene.nn.rebuild import Autoencoding, Rebuilder, Rebuilding
from polyscene.nn.trained import Positive, Share


class MultVae(Autoencoding, frozen=True, kw_only=True, tag="mult_vae"):
    """A user as a normal distribution over `dim` tastes, learned by a multinomial likelihood.

    `corrupt`: share of a user's items hidden from the encoder while it learns. The divergence from the
    standard normal counts `beta`, reached in a straight line over the first `anneal` share of the planned
    steps. `hidden`: width of encoder and decoder. Answers come from the mean. `batch_size` counts users; a
    batch needs memory for its users times all items. See `Trained` for how it learns. Order is not read;
    unknown items of a history are skipped; an empty history gets the log popularity. Items put after the
    fit are not scored.

    Source: Liang et al. 2018, "Variational autoencoders for collaborative filtering".
    """

    dim: Positive = 200
    hidden: Positive = 600
    corrupt: Share = 0.5
    beta: Annotated[float, msgspec.Meta(ge=0)] = 0.2
    anneal: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.5

    def rebuilding(self) -> Rebuilding["Network"]:
        """See `Autoencoding.rebuilding`."""
        return Rebuilding(self, lambda rows, chance: Network(self, rows, chance), self._loss)

    def _loss(self, network: "Network", bag: Bag) -> Tensor:
        """The negative evidence bound with the divergence weighted as far as the training has come."""
        mean_BD, log_var_BD = network.posterior(bag)
        weight = self.beta * (min(1.0, bag.progress / self.anneal) if self.anneal else 1.0)
        logits_BR = network.outputs(network.decode(network.draw(mean_BD, log_var_BD)))
        return multinomial(logits_BR, bag) + weight * divergence(mean_BD, log_var_BD).mean()


class Network(Rebuilder):
    """Items - hidden - dim - hidden - items, with tanh between and chance at the bottleneck."""

    def __init__(self, config: MultVae, rows: int, chance: torch.Generator) -> None:
        super().__init__(rows, (config.hidden, config.hidden), config.corrupt, chance)
        self.moments = linear(config.hidden, 2 * config.dim, chance)
        self.wide = linear(config.dim, config.hidden, chance)
        self.chance = chance

    def posterior(self, bag: Bag) -> tuple[Tensor, Tensor]:
        """(B, D) mean and log-variance of each user's tastes."""
        mean_BD, log_var_BD = self.moments(torch.tanh(self.inputs(bag))).chunk(2, 1)
        return mean_BD, log_var_BD

    def draw(self, mean_BD: Tensor, log_var_BD: Tensor) -> Tensor:
        """(B, D) one draw for each user, differentiable by both moments."""
        noise_BD = torch.empty_like(mean_BD).normal_(generator=self.chance)
        return mean_BD + torch.exp(log_var_BD / 2) * noise_BD

    def decode(self, tastes_BD: Tensor) -> Tensor:
        """(B, H) what the last layer reads."""
        return torch.tanh(self.wide(tastes_BD))

    def encode(self, bag: Bag) -> Tensor:
        """(B, H) what the last layer reads, at the mean."""
        return self.decode(self.posterior(bag)[0])


def divergence(mean_BD: Tensor, log_var_BD: Tensor) -> Tensor:
    """(B,) Kullback-Leibler divergence of each user's distribution from the standard normal."""
    return (mean_BD.square() + log_var_BD.exp() - log_var_BD - 1).sum(1) / 2
