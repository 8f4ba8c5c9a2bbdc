"""Fitting scenarios from the log: split off a holdout, fit, measure, save, promote."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec

from polyscene.artifacts.bundle import Facts
from polyscene.core.clock import SystemClock
from polyscene.core.contracts import Data, Holdout, Progress, Run, StillView, Training
from polyscene.core.errors import CanaryError, InputError, nearest
from polyscene.dataset.digest import digest_of
from polyscene.dataset.split import split
from polyscene.dataset.world import World
from polyscene.evaluate.beyond import item_facts
from polyscene.evaluate.metrics import measure
from polyscene.evaluate.ranking import rank
from polyscene.jobs.canary import Canary
from polyscene.jobs.exam import AskedScene
from polyscene.jobs.harm import unharmed
from polyscene.jobs.loader import Loader
from polyscene.jobs.workspace import Workspace
from polyscene.observe.timing import Stopwatch
from polyscene.scenario.file import Scenario, chain

LEAST_USERS = 50
"""Below so many held-out events a figure says nothing, so the fit takes everything."""
KS = (10, 50)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainRequest:
    """What to fit. `names` empty: every scenario file. `budget_s`, `seed` None: the workspace's.

    `force` promotes a bundle that the canary refuses, and looks for no harm (`jobs/harm.py`). `training`:
    what trainings keep and take; a checkpoint is deleted once its scenario's bundle is on the shelf.
    """

    names: Sequence[str] = ()
    holdout: bool = True
    force: bool = False
    budget_s: float | None = None
    seed: int | None = None
    training: Training = field(default_factory=Training)


@dataclass(frozen=True, slots=True)
class TrainReport:
    """One fitted scenario; `metrics` is empty where nothing was held out.

    `refused`: why the canary kept the bundle from being promoted; empty if it was promoted.
    """

    scenario: str
    bundle: str
    fit_seconds: float
    fit_cpu_seconds: float
    metrics: Mapping[str, float]
    warnings: tuple[str, ...]
    refused: str = ""


def train(workspace: Workspace, request: TrainRequest, progress: Progress) -> list[TrainReport]:
    """Fits scenarios from the live log, saves each as a bundle, and promotes it if the canary lets it.

    With a holdout each user's last event is kept out of the fit and ranked among all items afterwards;
    the figures go into the manifest (docs/adr/0008). A scenario that the events of the others harm is
    fitted on its own alone, and `warnings` says so (`jobs/harm.py`).

    Raises:
        InputError: A name is no scenario.
        DataError: The log has no events.
    """
    return list(train_in_turn(workspace, request, progress))


def train_in_turn(workspace: Workspace, request: TrainRequest, progress: Progress) -> Iterator[TrainReport]:
    """As `train`, but tells of each scenario as soon as it is done."""
    scenarios = workspace.scenarios()
    for name in request.names:
        if name not in scenarios:
            raise InputError(f"train: no scenario {name!r}{nearest(name, scenarios)}")
    names = _with_fallbacks(request.names, workspace, scenarios) if request.names else sorted(scenarios)
    with workspace.reader() as log:
        job = _Job(workspace, World.open(log), request, progress)
        for name in names:
            yield job.fit(scenarios[name])


class _Job:
    """What all fits of one call share."""

    def __init__(
        self, workspace: Workspace, world: World, request: TrainRequest, progress: Progress
    ) -> None:
        self.workspace = workspace
        self.world = world
        self.request = request
        self.data, self.log_position = world.data(), world.position
        self.run = _run(workspace, request, self.data, progress)
        self.loader = Loader(workspace.shelf(), world)

    def fit(self, scenario: Scenario) -> TrainReport:
        """Fits, measures, saves, examines and promotes one scenario."""
        run = replace(self.run, warnings=[], training=self._training(scenario.scenario))
        data, test = self._held_out(scenario)
        with Stopwatch() as watch:
            pipeline = scenario.fit(data, run)
            if not self.request.force:
                pipeline, harm = unharmed(scenario, pipeline, data, test, run)
                run.warnings.extend([harm] if harm else [])
        metrics = {} if test is None else self._measure(AskedScene(scenario, pipeline, data), test)
        facts = Facts(
            kind="scenario",
            created=SystemClock().now(),
            config=msgspec.to_builtins(scenario),
            data=digest_of(data),
            log_position=self.log_position,
            metrics=metrics,
            notes=tuple(run.warnings),
        )
        shelf = self.workspace.shelf()
        bundle = shelf.add(scenario.scenario, pipeline.state(), facts)
        _forget(run.training.checkpoint)
        refused = self._promote(scenario.scenario, bundle)
        shelf.collect(scenario.scenario, keep=self.workspace.train.keep_bundles)
        return TrainReport(
            scenario=scenario.scenario,
            bundle=bundle,
            fit_seconds=watch.cost.seconds,
            fit_cpu_seconds=watch.cost.cpu_seconds,
            metrics=metrics,
            warnings=tuple(run.warnings),
            refused=refused,
        )

    def _training(self, name: str) -> Training:
        """What is asked for, with a folder of its own for each scenario."""
        asked = self.request.training
        folders = (asked.checkpoint, asked.tensorboard, asked.profile)
        checkpoint, tensorboard, profile = (each and each / name for each in folders)
        return replace(asked, checkpoint=checkpoint, tensorboard=tensorboard, profile=profile)

    def _promote(self, name: str, bundle: str) -> str:
        """Why the bundle was not promoted; empty if it was."""
        floor = self.workspace.train.floor
        canary = Canary(self.loader, self.world.now, SystemClock().now(), floor)
        try:
            canary.promote(name, bundle, force=self.request.force)
        except CanaryError as problem:
            return str(problem)
        return ""

    def _held_out(self, scenario: Scenario) -> tuple[Data, Holdout | None]:
        """The data without each user's last event, and those events; all of it where they are too few.

        A scenario that shows items again learns from repeats, and is asked for them.
        """
        if not self.request.holdout or len(self.data.users) < LEAST_USERS:
            return self.data, None
        parts = split(self.data, "loo", repeats="drop" if scenario.seen == "drop" else "keep")
        return parts.fit_all, parts.test

    def _measure(self, asked: AskedScene, test: Holdout) -> Mapping[str, float]:
        ranking = rank(asked, test, k=max(KS), progress=self.run.progress)
        return dict(measure(ranking, item_facts(asked.data, test.queries), KS).totals)


def _run(workspace: Workspace, request: TrainRequest, data: Data, progress: Progress) -> Run:
    settings = workspace.train
    budget_s = settings.budget_s if request.budget_s is None else request.budget_s
    return Run(
        seed=settings.seed if request.seed is None else request.seed,
        view=StillView.of(data),
        threads=settings.threads,
        budget_s=budget_s or None,
        progress=progress,
    )


def _forget(checkpoint: Path | None) -> None:
    if checkpoint is not None:
        from polyscene.nn.checkpoint import forget

        forget(checkpoint)


def _with_fallbacks(
    names: Sequence[str], workspace: Workspace, scenarios: Mapping[str, Scenario]
) -> list[str]:
    """The scenarios, and those they fall back on that have no bundle yet."""
    shelf = workspace.shelf()
    behind = dict.fromkeys(each for name in names for each in chain(name, scenarios))
    return [name for name in behind if name in names or shelf.current(name) is None]
