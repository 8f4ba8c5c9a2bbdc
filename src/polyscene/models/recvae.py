"""RecVAE: Mult-VAE with a deeper encoder, a prior that remembers, and turns for encoder and decoder.

Legend: B users, D width of the bottleneck, H hidden width, P weights of the encoder, R item rows.
"""

import math
from typing import Annotated

import msgspec
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from polyscene.core.errors import ConfigError
from polyscene.nn.bags import Bag, multinomial
from polyscene.nn.layers import linear
from polyscene.nn.rebuild import Autoencoding, Rebuilder, Rebuilding
from polyscene.nn.trained import Positive, Share

EPSILON = 0.1
"""Of the layer norms, as in the authors' code."""
WIDE_LOG_VAR = 10.0
"""Log-variance of the widest part of the prior."""
DEPTH = 4
"""Hidden layers after the first."""


class RecVae(Autoencoding, frozen=True, kw_only=True, tag="recvae"):
    """A user as a normal distribution over `dim` tastes, kept near what the encoder said an epoch ago.

    In each epoch the encoder learns for `encoder_passes` over all users, from what corruption leaves of
    their items (`corrupt`: the share hidden), then the decoder for `decoder_passes`, from all of them. The
    prior is a mixture of the standard normal, the encoder of one epoch ago and a wide normal, weighted
    by `mixture`; a user's divergence from it counts `gamma` times the number of their items. `hidden`:
    width of the encoder. `batch_size` counts users; a batch needs memory for its users times all items.
    See `Trained` for how it learns. Order is not read; unknown items of a history are skipped; an empty
    history gets the log popularity. Items put after the fit are not scored.

    Source: Shenbin et al. 2020, "RecVAE: a new variational autoencoder for top-N recommendations with
    implicit feedback". One optimiser serves both halves here, where the authors have two: in the first
    steps of a turn the half that rests still drifts with its momentum.
    """

    dim: Positive = 200
    hidden: Positive = 600
    corrupt: Share = 0.5
    gamma: Annotated[float, msgspec.Meta(ge=0)] = 0.005
    mixture: tuple[float, float, float] = (0.15, 0.75, 0.1)
    encoder_passes: Positive = 3
    decoder_passes: Positive = 1
    learning_rate: Annotated[float, msgspec.Meta(gt=0)] = 5e-4
    l2: Annotated[float, msgspec.Meta(ge=0)] = 0.0

    def __post_init__(self) -> None:
        if min(self.mixture) <= 0 or abs(sum(self.mixture) - 1) > 1e-6:
            raise ConfigError(
                f"recvae: mixture is {self.mixture}; give three positive shares that sum to 1"
            )

    def rebuilding(self) -> Rebuilding["Network"]:
        """See `Autoencoding.rebuilding`."""
        passes = self.encoder_passes + self.decoder_passes
        return Rebuilding(self, lambda rows, chance: Network(self, rows, chance), self._loss, passes)

    def _loss(self, network: "Network", bag: Bag) -> Tensor:
        """The loss of the half whose turn it is; the other half gets no gradient, so it holds still."""
        epoch, turn = divmod(bag.turn, self.encoder_passes + self.decoder_passes)
        if turn >= self.encoder_passes:
            with torch.no_grad():
                tastes_BD = network.draw(*network(bag, whole=True))
            return multinomial(network.outputs(tastes_BD), bag)
        network.remember(epoch)
        mean_BD, log_var_BD = network(bag)
        tastes_BD = network.draw(mean_BD, log_var_BD)
        logits_BR = network.outputs(tastes_BD, still=True)
        excess_BD = log_normal(tastes_BD, mean_BD, log_var_BD) - network.log_prior(
            bag, tastes_BD, self.mixture
        )
        weight_B = self.gamma * bag.counts.to(excess_BD.dtype)
        return multinomial(logits_BR, bag) + (weight_B @ excess_BD.sum(1)) / len(bag)


class Network(Rebuilder):
    """A densely connected encoder and a linear decoder.

    `earlier` (P,): the encoder's weights as the epoch `earlier_epoch` found them.
    """

    earlier: Tensor
    earlier_epoch: Tensor

    def __init__(self, config: RecVae, rows: int, chance: torch.Generator) -> None:
        super().__init__(rows, (config.hidden, config.dim), config.corrupt, chance)
        self.dense = nn.ModuleList(linear(config.hidden, config.hidden, chance) for _ in range(DEPTH))
        self.norms = nn.ModuleList(
            nn.LayerNorm(config.hidden, EPSILON, device=chance.device) for _ in range(DEPTH + 1)
        )
        self.moments = linear(config.hidden, 2 * config.dim, chance)
        self.chance = chance
        self.register_buffer("earlier", torch.zeros(sum(each.numel() for each in self._encoder().values())))
        self.register_buffer("earlier_epoch", torch.tensor(-1))
        self.to(chance.device)

    def forward(self, bag: Bag, *, whole: bool = False) -> tuple[Tensor, Tensor]:
        """(B, D) mean and log-variance of each user's tastes; `whole`: with none of their items hidden."""
        x_BH = self.inputs(bag, whole=whole)
        sum_BH = torch.zeros_like(x_BH)
        for place, norm in enumerate(self.norms):
            if place:
                x_BH = self.dense[place - 1](x_BH) + sum_BH
            x_BH = norm(functional.silu(x_BH))
            sum_BH = sum_BH + x_BH
        mean_BD, log_var_BD = self.moments(x_BH).chunk(2, 1)
        return mean_BD, log_var_BD

    def draw(self, mean_BD: Tensor, log_var_BD: Tensor) -> Tensor:
        """(B, D) one draw for each user, differentiable by both moments."""
        noise_BD = torch.empty_like(mean_BD).normal_(generator=self.chance)
        return mean_BD + torch.exp(log_var_BD / 2) * noise_BD

    def encode(self, bag: Bag) -> Tensor:
        """(B, D) the mean, which the last layer reads."""
        mean_BD: Tensor = self(bag)[0]
        return mean_BD

    def remember(self, epoch: int) -> None:
        """Keeps the encoder as it stands when an epoch begins; later in that epoch it does nothing."""
        if int(self.earlier_epoch) == epoch:
            return
        torch.cat([each.detach().reshape(-1) for each in self._encoder().values()], out=self.earlier)
        self.earlier_epoch.fill_(epoch)

    def log_prior(self, bag: Bag, tastes_BD: Tensor, mixture: tuple[float, float, float]) -> Tensor:
        """(B, D) log-density of tastes under standard normal, earlier encoder and wide normal, mixed."""
        now = self._encoder()
        parts_P = torch.split(self.earlier, [each.numel() for each in now.values()])
        weights = {
            name: part.view_as(each) for (name, each), part in zip(now.items(), parts_P, strict=True)
        }
        with torch.no_grad():
            mean_BD, log_var_BD = functional_call(self, weights, (bag,), {"whole": True})
        nothing = torch.zeros_like(mean_BD)
        densities = (
            log_normal(tastes_BD, nothing, nothing),
            log_normal(tastes_BD, mean_BD, log_var_BD),
            log_normal(tastes_BD, nothing, nothing + WIDE_LOG_VAR),
        )
        parts = [density + math.log(share) for density, share in zip(densities, mixture, strict=True)]
        return torch.logsumexp(torch.stack(parts), 0)

    def _encoder(self) -> dict[str, Tensor]:
        return {name: each for name, each in self.named_parameters() if not name.startswith("outputs.")}


def log_normal(x: Tensor, mean: Tensor, log_var: Tensor) -> Tensor:
    """Log-density of a normal distribution, place by place."""
    return -(math.log(2 * math.pi) + log_var + (x - mean).square() / log_var.exp()) / 2
