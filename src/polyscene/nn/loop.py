"""The one training loop: any model, any batches, any loss."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from typing import Generic, Protocol, TypeVar

from torch import Tensor, nn

from polyscene.core.contracts import ProgressBar, Run
from polyscene.nn.checkpoint import Fingerprint, Keeper, keeper_of
from polyscene.nn.course import Course, Plan
from polyscene.nn.curves import Curve
from polyscene.nn.interrupt import Interrupt, interruptible
from polyscene.nn.memory import fitting, pieces_of
from polyscene.nn.pace import Pace
from polyscene.nn.profile import profiled

__all__ = ["Batches", "Outcome", "Plan", "train"]

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Batches(Protocol[T_co]):
    """Where examples come from."""

    @property
    def steps(self) -> int:
        """Batches in one epoch."""
        ...

    def epoch(self, number: int) -> Iterator[T_co]:
        """The batches of epoch `number`, counted from 0; equal numbers give equal batches."""
        ...


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
    shortened to what fits, so that the learning rate still ends at 0, and ``run.warnings`` says so. What
    ``run.training`` asks for is kept on the way. Interrupted once (SIGINT), it ends after the step with
    what it has, and a later run with the same checkpoint folder goes on from there.

    Raises:
        ConfigError: The loss became infinite or NaN, or ``run.training.memory_mb`` is too small.
        BundleError: A checkpoint is damaged.
    """
    course = Course(model, plan, Pace(batches.steps * plan.epochs, run.budget_s))
    course.finished = not course.pace.steps
    pieces = 1 if course.finished else fitting(course, batches.epoch, loss, run.training.memory_mb)
    fingerprint = Fingerprint.of(course, run, {"pieces": pieces, "validated": validate is not None})
    keeper = None if course.finished else keeper_of(course, run, fingerprint)
    with ExitStack() as stack:
        watched = _Watched(course, run, fingerprint, keeper, stack)
        training = _Training(course, batches, loss, pieces, watched)
        while not course.finished and not watched.interrupt.asked:
            training.epoch(validate)
    _tell_what_ended_it(course, batches.steps, watched, run)
    return Outcome(course.epochs, course.steps, course.loss, course.settle())


class _Watched:
    """A course, and all who are told how it goes."""

    def __init__(
        self, course: Course, run: Run, fingerprint: Fingerprint, keeper: Keeper | None, stack: ExitStack
    ) -> None:
        asked, label, steps = run.training, course.plan.label, course.pace.steps
        self.course, self.keeper = course, keeper
        board = None if asked.tensorboard is None else asked.tensorboard / fingerprint.name
        self.curve = Curve(course, None if keeper is None else keeper.folder, board)
        stack.callback(self.curve.close)
        self.interrupt: Interrupt = stack.enter_context(interruptible())
        self.bar: ProgressBar = stack.enter_context(run.progress(label, max(1, steps)))
        device = course.weights.flat.device
        self._traced = stack.enter_context(profiled(asked.profile, label, device, steps - course.steps))
        if course.steps:
            self.bar.advance(course.steps)

    def stepped(self, loss: float, batch: object) -> None:
        """A step was made."""
        self.bar.advance(1, self.curve.saw(loss, batch))
        self._traced()
        if self.keeper is not None:
            self.keeper.keep_when_due(self.course)

    def keep(self) -> None:
        """Writes a checkpoint, if any are wanted."""
        if self.keeper is not None:
            self.keeper.keep(self.course)


class _Training(Generic[T]):
    """A course over batches."""

    def __init__(
        self,
        course: Course,
        batches: Batches[T],
        loss: Callable[[T], Tensor],
        pieces: int,
        watched: _Watched,
    ) -> None:
        self.course, self.batches, self.loss = course, batches, loss
        self.pieces, self.watched = pieces, watched

    def epoch(self, validate: Callable[[], float] | None) -> None:
        """The rest of a pass over the batches, cut short when the budget is spent; a validation if due."""
        course, interrupt = self.course, self.watched.interrupt
        course.model.train()
        for batch in self._rest():
            self.watched.stepped(course.step(self.loss, pieces_of(batch, self.pieces)), batch)
            course.finished = course.pace.spent(course.steps)
            if course.finished or interrupt.asked:
                break
        course.loss = course.total / course.place
        course.finished |= course.steps == course.pace.steps
        broken_off = interrupt.asked and not course.finished
        if broken_off:
            self.watched.keep()
        due = course.finished or broken_off or course.epochs % course.plan.validate_every == 0
        if validate is not None and due:
            began = time.monotonic()
            self.watched.curve.judged(course.judge(validate))
            course.pace.reserve_s = time.monotonic() - began
        if not broken_off:
            course.place, course.total = 0, 0.0
            if course.finished or interrupt.asked:
                self.watched.keep()

    def _rest(self) -> Iterator[T]:
        """What is left of the running epoch, or the next one."""
        course = self.course
        course.epochs += not course.place
        batches = self.batches.epoch(course.epochs - 1)
        if course.place:
            # What was learned from is made again and passed over; the chance that this takes is put back.
            chance = course.chance()
            for _ in islice(batches, course.place):
                pass
            course.put_chance(chance)
        return batches


def _tell_what_ended_it(course: Course, steps: int, watched: _Watched, run: Run) -> None:
    spent = course.pace.spent(course.steps)
    if not spent and (course.finished or not watched.interrupt.asked):
        return
    why = f"in the {run.budget_s:g} s it was given" if spent else "until it was interrupted"
    plan = course.plan
    made = f"{plan.label} made {course.steps / steps:.1f} of {plan.epochs} epochs"
    run.warnings.append(f"stopped before it converged: {made} {why}")
    if not spent and watched.keeper is not None:
        run.warnings.append(f"{plan.label}: the same command goes on from {watched.keeper.folder}")
