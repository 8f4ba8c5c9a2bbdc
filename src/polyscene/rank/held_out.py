"""Compositions that learn from what their members say of events which none of them has seen."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from time import monotonic
from typing import Any, Literal, TypeVar

import msgspec

from polyscene.core.config import Config, kind_of, read
from polyscene.core.contracts import Data, Holdout, Run
from polyscene.dataset.newest import later_out, newest_out
from polyscene.models.table import KINDS
from polyscene.rank.members import Scorer, check_members, fit_members

T = TypeVar("T")
DEFAULT: tuple[dict[str, Any], ...] = ({"kind": "sasrec"}, {"kind": "covisit"}, {"kind": "ease"})
"""Order as a network sees it, plain transitions, and the whole history without its order."""
QUESTIONS = 5_000
"""Most users who are asked about."""
LATER = 0.1
"""Share of the events that are later."""


def default() -> tuple[Config, ...]:
    """Three members of different minds."""
    return tuple(read(KINDS, plan, "of") for plan in DEFAULT)


class Composed(Config, frozen=True, kw_only=True):
    """Base of configs that learn what to make of their members `of`.

    They learn from answers to questions that no member knows: those of ``run.holdout`` where the run has
    one, and one fit does. Else `horizon` says what is held out: the ``"next"`` event of every user (the
    newest), or what comes ``"later"`` (the newest tenth of all events). Members learn from the rest, and
    with `refit` they are then fitted again on everything, which doubles the cost; either round has half of
    a time budget. Put the slowest member first: it gets what the others leave.
    """

    of: tuple[Config, ...] = msgspec.field(default_factory=default)
    horizon: Literal["next", "later"] = "next"
    refit: bool = True

    def __post_init__(self) -> None:
        check_members(self.of, kind_of(self))


def fit_and_learn(
    config: Composed,
    data: Data,
    run: Run,
    learn: Callable[[tuple[Scorer, ...], Holdout], T],
    older: Sequence[tuple[Config, Scorer]] = (),
) -> tuple[tuple[Scorer, ...], T]:
    """The members, and what `learn` makes of their answers; see `Composed`.

    `older` lend their own for the last round only: members that answer never start from those, which may
    know the answers.

    Raises:
        ConfigError: A member can't score a given item, or its own fit refuses.
    """
    if run.holdout is not None:
        members = fit_members(config.of, data, run)
        return members, learn(members, run.holdout)
    started = monotonic()
    if config.horizon == "next":
        before, asked = newest_out(data, QUESTIONS, run.rng())
    else:
        before, asked = later_out(data, LATER, QUESTIONS, run.rng())
    budget_s = run.budget_s if run.budget_s is None or not config.refit else run.budget_s / 2
    members = fit_members(config.of, before, replace(run, holdout=asked, budget_s=budget_s))
    learned = learn(members, asked)
    if not config.refit:
        return members, learned
    if run.budget_s is not None:
        run = replace(run, budget_s=max(1.0, run.budget_s - (monotonic() - started)))
    return fit_members(config.of, data, run, older), learned
