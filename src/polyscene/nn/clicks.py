"""Training and asking a network that says how likely a row's label is; see `fields`.

Legend: N rows, B rows of a batch.
"""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import Annotated, Literal

import msgspec
import numpy as np
import torch
from torch import nn
from torch.nn import functional

from polyscene.core.arrays import Floats
from polyscene.core.config import kind_of, to_json
from polyscene.core.contracts import Run
from polyscene.nn import loop, machine
from polyscene.nn.course import OptimiserKind
from polyscene.nn.fields import Batch, Plan, Sheet, Shuffled, squares
from polyscene.nn.trained import Positive, Trained

BLOCK = 8_192
"""Rows that are asked about at once."""
Widths = tuple[Positive, ...]


class Clicks(Trained, frozen=True, kw_only=True):
    """Base of configs whose network tells labelled rows from others by binary cross-entropy.

    `codes_l2`: weight decay, as part of the gradient, of what belongs to the codes of fields alone, on top
    of `l2`, which is of all weights. `positive_weight`: how much a labelled row counts against another;
    ``"balanced"``: so that both classes count alike. Either moves the chances away from the shares in the
    data, if it is not 1. See `Trained`.
    """

    epochs: Annotated[int, msgspec.Meta(ge=0)] = 15
    batch_size: Positive = 1024
    optimiser: OptimiserKind = "adam"
    learning_rate: Annotated[float, msgspec.Meta(gt=0)] = 3e-3
    l2: Annotated[float, msgspec.Meta(ge=0)] = 1e-5
    codes_l2: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    validate_every: Positive = 1
    positive_weight: Annotated[float, msgspec.Meta(gt=0)] | Literal["balanced"] = 1.0

    @abstractmethod
    def network(self, plan: Plan, chance: torch.Generator) -> nn.Module:
        """An untrained network: `Batch` in, (B,) logits out."""


@dataclass(frozen=True, slots=True)
class Labelled:
    """Rows and their labels. Shapes: `labels` (N,) float32, 0 or 1."""

    sheet: Sheet
    labels: Floats

    def take(self, rows: np.ndarray) -> "Labelled":
        """The chosen rows."""
        return Labelled(self.sheet.take(rows), self.labels[rows])


def learned(
    config: Clicks,
    plan: Plan,
    known: Labelled,
    run: Run,
    judge: Callable[[nn.Module], float] | None = None,
) -> nn.Module:
    """A network trained on `known`; with `judge` (higher is better) the best epoch's.

    Raises:
        ConfigError: The device does not exist, or the loss diverged.
    """
    with machine.settled(run) as device:
        chance = torch.Generator(device).manual_seed(run.seed)
        network = config.network(plan, chance)
        config.start(network, chance)
        batches = Shuffled(
            known.sheet, known.labels, batch_size=config.batch_size, seed=run.seed, device=device
        )
        weight = torch.tensor(_weight(config, known.labels), device=device)

        def loss(batch: Batch) -> torch.Tensor:
            logits_B = network(batch)
            missed = functional.binary_cross_entropy_with_logits(logits_B, batch.labels, pos_weight=weight)
            return missed + config.codes_l2 / 2 * squares(network) if config.codes_l2 else missed

        told = config.plan(kind_of(config), _identity(config, known))
        loop.train(network, batches, loss, told, run, judge and (lambda: judge(network)))
    return network


def logits(network: nn.Module, sheet: Sheet) -> Floats:
    """(N,) what the network makes of each row."""
    device = next(network.parameters()).device
    nothing = np.zeros(len(sheet), np.float32)
    found = [np.zeros(0, np.float32)]
    with torch.inference_mode():
        for start in range(0, len(sheet), BLOCK):
            rows = np.arange(start, min(start + BLOCK, len(sheet)))
            found.append(network(Batch.of(sheet, nothing, rows, device)).cpu().numpy())
    return np.concatenate(found)


def chances(network: nn.Module, sheet: Sheet) -> Floats:
    """(N,) how likely each row is labelled, in [0, 1]."""
    return sigmoid(logits(network, sheet))


def sigmoid(logits_N: Floats) -> Floats:
    """(N,) logits as chances."""
    odds: Floats = (0.5 * (1 + np.tanh(0.5 * logits_N))).astype(np.float32)
    return odds


def mean_loss(network: nn.Module, held: Labelled) -> float:
    """Mean binary cross-entropy in nats, unweighted."""
    found = logits(network, held.sheet).astype(np.float64)
    return float((np.logaddexp(0, found) - held.labels * found).mean())


def _weight(config: Clicks, labels: Floats) -> float:
    if config.positive_weight != "balanced":
        return config.positive_weight
    positive = float(labels.sum())
    return (len(labels) - positive) / positive if 0 < positive < len(labels) else 1.0


def _identity(config: Clicks, known: Labelled) -> str:
    """Sha256 (hex) of a config and all that it learns from; see `Plan.identity`."""
    digest = sha256(msgspec.json.encode(to_json(config)))
    past = known.sheet.past
    arrays = [known.sheet.codes, known.sheet.numbers, known.labels]
    for each in arrays if past is None else [*arrays, past.items, past.gaps, past.owner]:
        digest.update(np.ascontiguousarray(each).tobytes())
    return digest.hexdigest()
