"""One exam for all: fits an answerer, ranks the held-out items, measures; equal terms for everyone."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Protocol

from polyscene.core.contracts import (
    Data,
    Effect,
    Holdout,
    Progress,
    Rates,
    Run,
    Stage,
    StillView,
    Training,
)
from polyscene.core.queries import Queries
from polyscene.core.slates import Slates
from polyscene.evaluate.beyond import ItemFacts
from polyscene.evaluate.intervals import intervals
from polyscene.evaluate.metrics import Measures, measure
from polyscene.evaluate.pointwise import ratings
from polyscene.evaluate.ranking import Ranking, rank
from polyscene.evaluate.validation import validation
from polyscene.observe.timing import Stopwatch
from polyscene.scenario.file import Scenario
from polyscene.scenario.run import Pipeline


class Learner(Protocol):
    """What can be examined: a model's config, or a `Scene`."""

    def fit(self, data: Data, run: Run) -> Stage:
        """The stage that will answer."""
        ...


@dataclass(frozen=True, slots=True)
class Scene:
    """A whole scenario, asked as its clients ask it."""

    scenario: Scenario

    def fit(self, data: Data, run: Run) -> "AskedScene":
        """Its pipeline, with the scenario's own view of every query before it, those of tuning too."""
        if run.holdout is not None:
            asked = self.scenario.adapt(run.holdout.queries, data.catalogue, data.actions)
            run = replace(run, holdout=replace(run.holdout, queries=asked))
        return AskedScene(self.scenario, self.scenario.fit(data, run), data)


@dataclass(frozen=True, slots=True)
class Ready:
    """What is fitted already."""

    stage: Stage

    def fit(self, data: Data, run: Run) -> Stage:
        """The stage as it is."""
        return self.stage


@dataclass(frozen=True, slots=True)
class AskedScene:
    """Answers by the scenario's rules; a held-out item that these forbid is simply not reached."""

    scenario: Scenario
    pipeline: Pipeline
    data: Data
    effect: ClassVar[frozenset[Effect]] = frozenset({Effect.ADDS})

    def __call__(self, queries: Queries, slates: Slates) -> Slates:
        """The slates that would be served."""
        return self.pipeline(self.scenario.adapt(queries, self.data.catalogue, self.data.actions), slates)


@dataclass(frozen=True, slots=True)
class Trial:
    """One answerer, fitted and measured; `intervals` hold 95 % of the bootstrap."""

    name: str
    ranking: Ranking
    measures: Measures
    intervals: Mapping[str, tuple[float, float]]
    fit_seconds: float
    fit_cpu_seconds: float
    score_seconds: float
    warnings: tuple[str, ...]

    def figures(self) -> dict[str, Any]:
        """The measured part of a result, as JSON data."""
        return {
            "metrics": dict(self.measures.totals),
            "intervals": {name: list(ends) for name, ends in self.intervals.items()},
            "fit_seconds": self.fit_seconds,
            "fit_cpu_seconds": self.fit_cpu_seconds,
            "score_seconds": self.score_seconds,
        }


@dataclass(frozen=True, slots=True)
class Exam:
    """What everyone is given: data to learn from, queries, facts about the items, cut-offs and seed.

    `valid`: what early stopping and tuning may ask; None trains all epochs. `training`: what trainings
    keep and take.
    """

    data: Data
    holdout: Holdout
    facts: ItemFacts
    ks: tuple[int, ...]
    seed: int
    valid: Holdout | None
    progress: Progress
    training: Training = field(default_factory=Training)

    def run(self) -> Run:
        """The circumstances of a fit."""
        return Run(
            seed=self.seed,
            view=StillView.of(self.data),
            progress=self.progress,
            validate=None if self.valid is None else validation(self.valid),
            holdout=self.valid,
            training=self.training,
        )

    def sit(self, name: str, learner: Learner) -> Trial:
        """Fits the learner and ranks every held-out item."""
        run = self.run()
        with Stopwatch() as fitting:
            stage = learner.fit(self.data, run)
        with Stopwatch() as scoring:
            ranking = rank(stage, self.holdout, k=max(self.ks), progress=self.progress)
        measures = measure(ranking, self.facts, self.ks)
        if isinstance(stage, Rates):
            foretold = stage.rate(self.holdout.queries, self.holdout.targets)
            errors = ratings(self.holdout.values.values, foretold)
            measures = replace(measures, totals={**measures.totals, **errors})
        return Trial(
            name=name,
            ranking=ranking,
            measures=measures,
            intervals=intervals(measures.per_query, seed=self.seed),
            fit_seconds=fitting.cost.seconds,
            fit_cpu_seconds=fitting.cost.cpu_seconds,
            score_seconds=scoring.cost.seconds,
            warnings=tuple(f"{name}: {line}" for line in run.warnings),
        )
