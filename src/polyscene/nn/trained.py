"""What every config that trains by gradient has in common."""

import math
from typing import Annotated, Literal

import msgspec
import torch
from torch import nn

from polyscene.core.config import Config
from polyscene.nn.course import OptimiserKind, Plan
from polyscene.nn.pace import ScheduleKind

Positive = Annotated[int, msgspec.Meta(ge=1)]
Share = Annotated[float, msgspec.Meta(ge=0, lt=1)]
InitialKind = Literal["usual", "normal", "uniform", "xavier", "kaiming"]
SPREAD = 0.02
"""Deviation of normal first weights, as in BERT and GPT-2."""


class Trained(Config, frozen=True, kw_only=True):
    """Base of configs whose model is a network; a subclass gives the defaults that suit it.

    `learning_rate` is the highest, reached after the share `warm_up` of all steps; then it falls by
    `schedule`. `l2`: weight decay, decoupled from the gradient with ``"adamw"``, part of it with others.
    `average`: decay of the moving average of weights, which is what is scored and kept; 0 keeps the last.
    `clip`: the largest gradient norm. With ``run.validate`` it is scored every `validate_every` epochs and
    stops after `patience` scores without a better one. `initial` draws the first matrices anew, from a
    normal or uniform distribution of deviation 0.02, or as Glorot and Bengio 2010 or He et al. 2015;
    ``"usual"`` is the network's own way.
    """

    epochs: Annotated[int, msgspec.Meta(ge=0)] = 20
    batch_size: Positive = 1600
    optimiser: OptimiserKind = "adamw"
    learning_rate: Annotated[float, msgspec.Meta(gt=0)] = 3e-3
    schedule: ScheduleKind = "cosine"
    warm_up: Share = 0.05
    l2: Annotated[float, msgspec.Meta(ge=0)] = 0.01
    average: Share = 0.999
    clip: Annotated[float, msgspec.Meta(gt=0)] | None = None
    initial: InitialKind = "usual"
    validate_every: Positive = 2
    patience: Positive = 3

    def plan(self, label: str, identity: str = "") -> Plan:
        """How to train; see `Plan`."""
        return Plan(
            epochs=self.epochs,
            optimiser=self.optimiser,
            learning_rate=self.learning_rate,
            schedule=self.schedule,
            warm_up=self.warm_up,
            l2=self.l2,
            average=self.average,
            clip=math.inf if self.clip is None else self.clip,
            validate_every=self.validate_every,
            patience=self.patience,
            label=label,
            identity=identity,
        )

    def start(self, network: nn.Module, chance: torch.Generator) -> None:
        """Draws the first weights of a new network's matrices, unless they are to stay."""
        with torch.no_grad():
            for matrix in network.parameters():
                if matrix.dim() < 2:
                    continue
                if self.initial == "normal":
                    matrix.normal_(0, SPREAD, generator=chance)
                elif self.initial == "uniform":
                    matrix.uniform_(-SPREAD * 3**0.5, SPREAD * 3**0.5, generator=chance)
                elif self.initial == "xavier":
                    nn.init.xavier_uniform_(matrix, generator=chance)
                elif self.initial == "kaiming":
                    nn.init.kaiming_uniform_(matrix, nonlinearity="relu", generator=chance)
