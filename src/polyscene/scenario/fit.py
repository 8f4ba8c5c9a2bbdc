"""Fitting the stages in order, in two rounds where a ranker learns from labelled slates."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from time import monotonic

import numpy as np

from polyscene.core.arrays import Codes
from polyscene.core.contracts import Data, Examples, Run
from polyscene.core.queries import Queries
from polyscene.core.rows import Rows
from polyscene.core.slates import Slates, concat
from polyscene.dataset.newest import newest_out
from polyscene.retrieve.step import Step, StepPart
from polyscene.scenario.run import fold

EXAMPLES = 5_000
"""Users whose last event labels a slate; more would teach a small ranker little."""
BLOCK = 256
WANTED = 100
"""Candidates per example from a stage without a `take` of its own."""


@dataclass(frozen=True, slots=True)
class Past:
    """The data as it was before each user's last event, and that event as the question.

    Shapes: `targets` (B,) item of the last event of the user behind each query, `actions` (B,) its action.
    """

    data: Data
    queries: Queries
    targets: Codes
    actions: Codes


def fit_steps(
    steps: Sequence[Step],
    data: Data,
    run: Run,
    *,
    prepare: Callable[[Queries], Queries],
    warm: Sequence[StepPart] = (),
) -> tuple[StepPart, ...]:
    """Every step fitted; those that need examples on slates of the past, all others on everything.

    Round one fits the steps before such a ranker without each user's last event, lets them answer as of
    then, and labels the candidate that came. Round two fits them again on all data, starting from
    round one. `prepare` gives queries as the scenario would ask them. `run.budget_s` is shared out.
    """
    hungry = [place for place, step in enumerate(steps) if getattr(step.stage, "needs_examples", False)]
    share = run if run.budget_s is None else replace(run, budget_s=run.budget_s / (2 if hungry else 1))
    older = {part.name: part for part in warm}
    rankers: dict[int, StepPart] = {}
    if hungry:
        past = hold_back(data, prepare, run)
        parts: list[StepPart] = []
        started = monotonic()
        for place, step in enumerate(steps[: hungry[-1] + 1]):
            known = past.data
            if place in hungry:
                known = replace(known, examples=labelled(tuple(parts), past))
            part = step.fit(known, _left(share, started), older.get(step.called))
            older[step.called] = part
            parts.append(part)
            if place in hungry:
                rankers[place] = part
    started = monotonic()
    return tuple(
        rankers[place]
        if place in rankers
        else step.fit(data, _left(share, started), older.get(step.called))
        for place, step in enumerate(steps)
    )


def hold_back(data: Data, prepare: Callable[[Queries], Queries], run: Run) -> Past:
    """`data` without each user's last event; of at most `EXAMPLES` users that event is the target."""
    before, asked = newest_out(data, EXAMPLES, run.rng())
    newest = data.histories.offsets[1:][Rows(data.users).of(asked.queries.users)] - 1
    actions = data.histories["action"][newest]
    return Past(before, prepare(asked.queries.wanting(WANTED)), asked.targets.values, actions)


def labelled(parts: tuple[StepPart, ...], past: Past) -> Examples:
    """What the parts would have shown, with 1 where it is what came; once more by its action."""
    count = len(past.queries)
    blocks = [np.arange(start, min(start + BLOCK, count)) for start in range(0, count, BLOCK)]
    slates = (
        concat([fold(parts, past.queries.take(rows)) for rows in blocks]) if blocks else Slates.empty(0)
    )
    came = slates.items == past.targets[slates.rows()]
    for action in np.unique(past.actions[past.actions >= 0]).tolist():
        by_it = (came & (past.actions == action)[slates.rows()]).astype(np.float32)
        slates = slates.with_column(f"label:{past.data.actions[action]}", by_it)
    return Examples(past.queries, slates, came.astype(np.float32))


def _left(run: Run, started: float) -> Run:
    """The run with what is left of its budget."""
    if run.budget_s is None:
        return run
    return replace(run, budget_s=max(1.0, run.budget_s - (monotonic() - started)))
