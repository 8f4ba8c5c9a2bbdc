"""The one training loop: any model, any batches, any loss.

Legend: P parameters in all.
"""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol, TypeVar

import torch
from torch import Tensor, nn

from polyscene.core.contracts import ProgressBar, Run
from polyscene.core.errors import ConfigError
from polyscene.nn.weights import Weights

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Batches(Protocol[T_co]):
    """Where examples come from."""

    @property
    def steps(self) -> int:
        """Batches in one epoch."""
        ...

    def epoch(self, number: int) -> Iterator[T_co]:
        """The batches of epoch `number`, counted from 0."""
        ...


@dataclass(frozen=True, slots=True)
class Plan:
    """How to train.

    The learning rate rises from 0 over the first `warm_up` share of all steps, then falls to 0 along a
    cosine. `l2` is AdamW's decoupled weight decay; `average` the decay of the moving average of weights,
    which is what gets validated and kept; `clip` the largest gradient norm. Validation every
    `validate_every` epochs; `patience` validations without a better one end the training.
    """

    epochs: int
    learning_rate: float
    l2: float = 0.01
    betas: tuple[float, float] = (0.9, 0.98)
    warm_up: float = 0.05
    average: float = 0.999
    clip: float = math.inf
    validate_every: int = 1
    patience: int = 3
    label: str = "training"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a training: epochs begun, steps, mean loss of the last epoch, best validation score."""

    epochs: int
    steps: int
    loss: float
    best: float | None


def train(
    model: nn.Module,
    batches: Batches[T],
    loss: Callable[[T], Tensor],
    plan: Plan,
    run: Run,
    validate: Callable[[], float] | None = None,
) -> Outcome:
    """Trains `model` in place and leaves it in evaluation mode with its best averaged weights.

    `validate` scores the model as it stands (higher is better). With ``run.budget_s`` the schedule is
    shortened to what fits, so that the learning rate still ends at 0, and ``run.warnings`` says so.

    Raises:
        ConfigError: The loss became infinite or NaN.
    """
    training = _Training(model, plan, Pace(batches.steps * plan.epochs, run.budget_s), validate)
    with run.progress(plan.label, max(1, training.pace.steps)) as bar:
        for number in range(plan.epochs if batches.steps else 0):
            training.epoch(number, batches.epoch(number), loss, bar)
            if training.finished:
                break
    if training.pace.spent(training.steps):
        run.warnings.append(
            f"stopped before it converged: {plan.label} made {training.steps / batches.steps:.1f} of"
            f" {plan.epochs} epochs in the {run.budget_s:g} s it was given"
        )
    return training.outcome()


class Pace:
    """How far a training is, from 0 to 1: by steps, or by the clock once all steps would not fit.

    Steps alone decide as long as the budget is ample, so that equal seeds give equal weights.
    """

    TRIAL = 20
    """Steps before the speed is trusted."""

    def __init__(self, steps: int, budget_s: float | None) -> None:
        self.steps = steps
        self.budget_s = budget_s
        self.reserve_s = 0.0
        """Kept back for the last validation."""
        self._began = time.monotonic()
        self._short = False

    def at(self, step: int) -> float:
        """The share done when `step` steps are."""
        share = step / self.steps
        clock = self._clock()
        self._short |= clock >= 1 or (step >= self.TRIAL and clock > share)
        return min(1.0, max(share, clock)) if self._short else share

    def spent(self, step: int) -> bool:
        """Whether the budget ran out with steps still to make."""
        return step < self.steps and self._clock() >= 1

    def _clock(self) -> float:
        if self.budget_s is None:
            return 0.0
        return (time.monotonic() - self._began) / max(self.budget_s - self.reserve_s, 1e-9)


class _Training:
    """The state of one training."""

    def __init__(
        self, model: nn.Module, plan: Plan, pace: Pace, validate: Callable[[], float] | None
    ) -> None:
        self.model, self.plan, self.pace, self.validate = model, plan, pace, validate
        self.weights = Weights(model)
        self.optimiser = torch.optim.AdamW(
            [self.weights.flat], lr=0.0, betas=plan.betas, weight_decay=plan.l2, fused=True
        )
        self.epochs = self.steps = self.stale = 0
        self.loss = math.nan
        self.best: tuple[float, Tensor] | None = None
        self.finished = False

    def epoch(
        self, number: int, batches: Iterator[T], loss: Callable[[T], Tensor], bar: ProgressBar
    ) -> None:
        """One pass over the batches, cut short when the budget is spent, then a validation if due."""
        self.model.train()
        self.epochs = number + 1
        losses = []
        for batch in batches:
            losses.append(self._step(loss(batch)))
            bar.advance(1, self._note(losses[-1]))
            self.finished = self.pace.spent(self.steps)
            if self.finished:
                break
        self.loss = sum(losses) / len(losses)
        self.finished |= self.epochs == self.plan.epochs
        if self.validate and (self.finished or self.epochs % self.plan.validate_every == 0):
            self._judge(self.validate)

    def _step(self, loss: Tensor) -> float:
        value = float(loss.detach())
        if not math.isfinite(value):
            raise ConfigError(
                f"{self.plan.label}: the loss became {value} at step {self.steps + 1}; lower learning_rate"
                f" (now {self.plan.learning_rate:g})"
            )
        flat = self.weights.flat
        loss.backward()  # type: ignore[no-untyped-call]
        if self.plan.clip < math.inf:
            nn.utils.clip_grad_norm_(flat, self.plan.clip)
        self.optimiser.param_groups[0]["lr"] = self._learning_rate()
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=False)
        self.steps += 1
        # A young average follows faster, so that it forgets the random start.
        self.weights.follow(min(self.plan.average, self.steps / (self.steps + 9)))
        return value

    def _learning_rate(self) -> float:
        done, warm_up = self.pace.at(self.steps), self.plan.warm_up
        if done < warm_up:
            return self.plan.learning_rate * done / warm_up
        return self.plan.learning_rate * 0.5 * (1 + math.cos(math.pi * (done - warm_up) / (1 - warm_up)))

    def _judge(self, validate: Callable[[], float]) -> None:
        began = time.monotonic()
        self.model.eval()
        with self.weights.averaged():
            score = validate()
        self.pace.reserve_s = time.monotonic() - began
        if self.best is None or score > self.best[0]:
            self.best, self.stale = (score, self.weights.average.clone()), 0
        else:
            self.stale += 1
            self.finished |= self.stale >= self.plan.patience

    def _note(self, loss: float) -> str:
        score = "" if self.best is None else f" best {self.best[0]:.4f}"
        return f"epoch {self.epochs}/{self.plan.epochs} loss {loss:.3f}{score}"

    def outcome(self) -> Outcome:
        """Leaves the model with its best weights, in evaluation mode, and tells how it went."""
        score, values = self.best or (None, self.weights.average)
        self.weights.flat.data.copy_(values)
        self.model.eval().requires_grad_(False).zero_grad()
        return Outcome(self.epochs, self.steps, self.loss, score)
