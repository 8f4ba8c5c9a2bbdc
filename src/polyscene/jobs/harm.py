"""Does a scenario gain from the others? Its own model, that of all, and the adapted one, side by side."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from polyscene.core.arrays import Array
from polyscene.core.config import Config, kind_of
from polyscene.core.contracts import Data, Holdout, Progress, Run, Stage, StillView, silent
from polyscene.evaluate.intervals import Comparison, compare
from polyscene.evaluate.metrics import accuracy_at
from polyscene.evaluate.ranking import rank
from polyscene.evaluate.validation import asked_in, validation
from polyscene.jobs.exam import AskedScene
from polyscene.scenario.file import Scenario
from polyscene.scenario.run import Pipeline

if TYPE_CHECKING:  # it brings torch along, which many who train or serve never need
    from polyscene.rank.adapted import Adapted

METRIC = "ndcg@10"
LEAST_QUESTIONS = 50
"""Below so many held-out events of a scenario nothing is said about it."""
VALIDATED = 4_000
"""Most questions of early stopping: a scenario is a part of them, and its figures may be small."""
SHARED_KINDS = frozenset({"foundation", "adapted"})
"""Models that learn from the events of every scenario at once."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How the three forms do on the held-out events of one scenario.

    `values`: mean of `METRIC` by form: ``own`` learned from the scenario's events alone, ``joint`` from
    all, ``adapted`` is joint with the scenario's adapter. `gaps`: paired differences, first minus second.
    `each`: the metric of every question (B,), by form.
    """

    scenario: str
    queries: int
    values: Mapping[str, float]
    gaps: Mapping[str, Comparison]
    each: Mapping[str, Array]

    @property
    def harmed(self) -> tuple[str, ...]:
        """The shared forms that are worse than the scenario's own beyond the interval of the difference."""
        return tuple(form for form in ("joint", "adapted") if self.gaps[f"{form} - own"].high < 0)

    @property
    def best(self) -> str:
        """The form to serve: the best of those that do no harm."""
        return max((form for form in self.values if form not in self.harmed), key=self.values.__getitem__)

    def figures(self) -> dict[str, Any]:
        """As JSON data."""
        gaps = {name: asdict(gap) for name, gap in self.gaps.items()}
        told = {"scenario": self.scenario, "queries": self.queries, METRIC: dict(self.values), "gaps": gaps}
        return {**told, "harmed": list(self.harmed), "best": self.best}


def standings(
    config: "Adapted",
    data: Data,
    asked: Mapping[int, Holdout],
    *,
    valid: Holdout | None = None,
    seed: int = 0,
    progress: Progress = silent,
) -> list[Standing]:
    """Fits all three forms and compares them on the questions `asked` of each scenario, by its code.

    `valid` is for early stopping; without it every form trains all its epochs, the own one as many as base
    and adapter together. All forms are asked the same: by whole histories, over the same candidates.
    """

    def run(holdout: Holdout | None) -> Run:
        judge = None if holdout is None else validation(holdout, VALIDATED)
        view = StillView.of(data)
        return Run(seed=seed, view=view, progress=progress, validate=judge, holdout=holdout)

    adapted = config.fit(data, run(valid))
    single = msgspec.structs.replace(config.base, epochs=config.base.epochs + config.epochs)
    found = []
    for code, holdout in asked.items():
        own_valid = None if valid is None else asked_in(valid, code)
        own = single.fit(alone(data, code), run(own_valid))
        forms: dict[str, Stage] = {"own": own, "joint": adapted.base, "adapted": adapted}
        found.append(standing(data.scenarios[code], forms, holdout, seed))
    return found


def standing(name: str, forms: Mapping[str, Stage], holdout: Holdout, seed: int) -> Standing:
    """Fitted forms compared on the questions of one scenario."""
    each = {form: _reached(stage, holdout) for form, stage in forms.items()}
    return standing_of(name, each, seed)


def standing_of(name: str, each: Mapping[str, Array], seed: int) -> Standing:
    """Forms compared by what they reached on every question."""
    pairs = (("joint", "own"), ("adapted", "own"), ("adapted", "joint"))
    gaps = {f"{one} - {other}": compare(each[one], each[other], seed=seed) for one, other in pairs}
    means = {form: float(values.mean()) for form, values in each.items()}
    return Standing(name, len(each["own"]), means, gaps, each)


def alone(data: Data, code: int) -> Data:
    """The data with the events of one scenario only, and the users who have any."""
    histories = data.histories.where(data.histories["scenario"] == code)
    users = np.flatnonzero(histories.lengths)
    return replace(data, users=data.users[users], histories=histories.take(users))


def unharmed(
    scenario: Scenario, pipeline: Pipeline, data: Data, test: Holdout | None, run: Run
) -> tuple[Pipeline, str]:
    """The pipeline, or, where events of other scenarios harm this one, one that learned without them.

    The text says what was found and what to do; empty without harm, and where it can't be told: the
    scenario has no events of its own name, fewer than `LEAST_QUESTIONS` are held out, or no model of it
    learns from all scenarios.
    """
    if test is None or len(data.scenarios) < 2 or scenario.scenario not in data.scenarios:
        return pipeline, ""
    if not SHARED_KINDS & {kind for stage in scenario.stages for kind in kinds_in(stage)}:
        return pipeline, ""
    code = data.scenarios.index(scenario.scenario)
    asked = asked_in(test, code)
    if len(asked.queries) < LEAST_QUESTIONS:
        return pipeline, ""
    mine = alone(data, code)
    own = scenario.fit(mine, run)
    ours, theirs = (_reached(AskedScene(scenario, each, data), asked) for each in (pipeline, own))
    gap = compare(ours, theirs, seed=run.seed)
    if gap.high >= 0:
        return pipeline, ""
    return own, (
        f"events of other scenarios harm {scenario.scenario!r}: {METRIC} {ours.mean():.4f} with them,"
        f" {theirs.mean():.4f} without (difference {gap.difference:+.4f}, 95 % {gap.low:+.4f} to"
        f" {gap.high:+.4f}, {len(asked.queries)} questions), so the bundle learned from its own alone; use"
        " kind 'adapted', or give it a higher rank or more epochs, then train again"
    )


def kinds_in(config: Config) -> Iterator[str]:
    """The kind of a config and of every config inside it."""
    yield kind_of(config)
    for field in msgspec.structs.fields(type(config)):
        value = getattr(config, field.name)
        for inner in value if isinstance(value, tuple) else (value,):
            if isinstance(inner, Config):
                yield from kinds_in(inner)


def _reached(stage: Stage, holdout: Holdout) -> Array:
    """(B,) the metric of each question."""
    return accuracy_at(rank(stage, holdout, k=10), 10)[METRIC]
