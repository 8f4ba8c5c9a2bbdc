"""Where one training stands: all that a step changes, and all that a checkpoint keeps.

Legend: P parameters in all.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor, nn

from polyscene.core.arrays import Array
from polyscene.core.errors import ConfigError
from polyscene.nn.pace import Pace, ScheduleKind, rate
from polyscene.nn.weights import Weights

T = TypeVar("T")
_COUNTS = ("epochs", "place", "steps", "stale", "total", "loss", "finished")
MOMENTUM = 0.9
OptimiserKind = Literal["adamw", "adam", "adagrad", "sgd", "momentum"]


@dataclass(frozen=True, slots=True)
class Plan:
    """How to train.

    The learning rate rises from 0 over the first `warm_up` share of all steps, then falls by the
    `schedule`. `l2` is weight decay, AdamW's decoupled, else part of the gradient; `average` the decay of
    the moving average of weights, which is what gets validated and kept; `clip` the largest gradient norm.
    Validation every `validate_every` epochs; `patience` validations without a better one end the training.
    `identity`: what the training learns from, in which form (`checkpoint.identity`); without it none is
    kept.
    """

    epochs: int
    learning_rate: float
    optimiser: OptimiserKind = "adamw"
    schedule: ScheduleKind = "cosine"
    l2: float = 0.01
    betas: tuple[float, float] = (0.9, 0.98)
    warm_up: float = 0.05
    average: float = 0.999
    clip: float = math.inf
    validate_every: int = 1
    patience: int = 3
    label: str = "training"
    identity: str = ""


class Course:
    """The state of one training.

    `epochs`: begun so far. `place`: batches done of the running one, 0 between two. `total`: sum of its
    losses. `loss`: mean of the last epoch. `used_rate`: learning rate of the last step. `best`: score and
    weights of the best validation.
    """

    def __init__(self, model: nn.Module, plan: Plan, pace: Pace) -> None:
        self.model, self.plan, self.pace = model, plan, pace
        self.weights = Weights(model)
        self.optimiser = _optimiser(self.weights.flat, plan)
        self.generators = generators_of(model)
        self.epochs = self.place = self.steps = self.stale = 0
        self.total, self.loss, self.used_rate = 0.0, math.nan, 0.0
        self.best: tuple[float, Tensor] | None = None
        self.finished = False

    def step(self, loss: Callable[[T], Tensor], pieces: Sequence[tuple[T, float]]) -> float:
        """One step down the gradient of a batch in pieces, each with its share of the loss; gives the loss.

        Raises:
            ConfigError: The loss became infinite or NaN.
        """
        value = 0.0
        for piece, share in pieces:
            part = loss(piece) * share
            value += float(part.detach())
            part.backward()  # type: ignore[no-untyped-call]
        if not math.isfinite(value):
            raise ConfigError(
                f"{self.plan.label}: the loss became {value} at step {self.steps + 1}; lower learning_rate"
                f" (now {self.plan.learning_rate:g})"
            )
        if self.plan.clip < math.inf:
            nn.utils.clip_grad_norm_(self.weights.flat, self.plan.clip)
        share = self.pace.at(self.steps)
        self.used_rate = self.plan.learning_rate * rate(share, self.plan.warm_up, self.plan.schedule)
        self.optimiser.param_groups[0]["lr"] = self.used_rate
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=False)
        self.steps += 1
        self.place += 1
        self.total += value
        # A young average follows faster, so that it forgets the random start.
        self.weights.follow(min(self.plan.average, self.steps / (self.steps + 9)))
        return value

    def judge(self, validate: Callable[[], float]) -> float:
        """Scores the averaged weights; keeps the best, loses patience otherwise."""
        self.model.eval()
        with self.weights.averaged():
            score = validate()
        if self.best is None or score > self.best[0]:
            self.best, self.stale = (score, self.weights.average.clone()), 0
        else:
            self.stale += 1
            self.finished |= self.stale >= self.plan.patience
        return score

    def settle(self) -> float | None:
        """Leaves the model with its best weights, in evaluation mode; gives their score if there is one."""
        score, values = self.best or (None, self.weights.average)
        self.weights.flat.data.copy_(values)
        self.model.eval().requires_grad_(False).zero_grad()
        return score

    def chance(self) -> list[Tensor]:
        """How the model's generators stand now."""
        return [each.get_state() for each in self.generators]

    def put_chance(self, states: Sequence[Tensor]) -> None:
        """Sets the model's generators back to how they stood."""
        for generator, state in zip(self.generators, states, strict=True):
            generator.set_state(state)

    def facts(self) -> dict[str, Any]:
        """The numbers of the state, as JSON data."""
        counts: dict[str, Any] = {name: getattr(self, name) for name in _COUNTS}
        return {**counts, "score": None if self.best is None else self.best[0], "pace": self.pace.facts()}

    def tensors(self) -> dict[str, Array]:
        """The tensors of the state; of a finished training only what `settle` needs."""
        found = {"average": self.weights.average}
        found |= {f"buffer.{name}": each for name, each in self.model.named_buffers()}
        if self.best is not None:
            found["best"] = self.best[1]
        if not self.finished:
            found["flat"] = self.weights.flat.detach()
            moments = self.optimiser.state[self.weights.flat].items()
            found |= {f"optimiser.{name}": each for name, each in moments if isinstance(each, Tensor)}
            found |= {f"chance.{number}": each for number, each in enumerate(self.chance())}
        return {name: each.cpu().numpy() for name, each in found.items()}

    def restore(self, facts: Mapping[str, Any], tensors: Mapping[str, Array]) -> None:
        """Goes on from a state that `facts` and `tensors` gave."""
        found = {name: torch.from_numpy(each.copy()) for name, each in tensors.items()}
        for name in _COUNTS:
            setattr(self, name, facts[name])
        self.pace.restore(facts["pace"])
        self.weights.average.copy_(found["average"])
        for name, buffer in self.model.named_buffers():
            buffer.copy_(found[f"buffer.{name}"])
        if facts["score"] is not None:
            self.best = facts["score"], found["best"].to(self.weights.average)
        if not self.finished:
            self.weights.flat.data.copy_(found["flat"])
            moments = {
                name.removeprefix("optimiser."): each
                for name, each in found.items()
                if name.startswith("optimiser.")
            }
            groups = self.optimiser.state_dict()["param_groups"]
            self.optimiser.load_state_dict({"state": {0: moments}, "param_groups": groups})
            self.put_chance([found[f"chance.{number}"] for number in range(len(self.generators))])


def _optimiser(flat: nn.Parameter, plan: Plan) -> torch.optim.Optimizer:
    """One pass over one vector; its learning rate is set at each step."""
    match plan.optimiser:
        case "adamw":
            return torch.optim.AdamW([flat], lr=0.0, betas=plan.betas, weight_decay=plan.l2, fused=True)
        case "adam":
            return torch.optim.Adam([flat], lr=0.0, betas=plan.betas, weight_decay=plan.l2, fused=True)
        case "adagrad":
            return torch.optim.Adagrad([flat], lr=0.0, weight_decay=plan.l2, fused=True)
        case "sgd" | "momentum" as kind:
            momentum = MOMENTUM if kind == "momentum" else 0.0
            return torch.optim.SGD([flat], lr=0.0, momentum=momentum, weight_decay=plan.l2, fused=True)


def generators_of(model: nn.Module) -> list[torch.Generator]:
    """The generators that the modules of a model hold as attributes, each once, in order.

    What a model or its loss draws in training must come from one of these, or a training that was killed
    would not come to the same end.
    """
    found = [
        each
        for module in model.modules()
        for each in vars(module).values()
        if isinstance(each, torch.Generator)
    ]
    return list({id(each): each for each in found}.values())
