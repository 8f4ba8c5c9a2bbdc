"""Making a fitted model smaller or quicker: size, CPU and accuracy before and after."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from time import process_time
from typing import Any

import msgspec
import numpy as np
from threadpoolctl import threadpool_limits

from polyscene.artifacts.bundle import Facts, Manifest
from polyscene.compress.methods import Methods
from polyscene.core.clock import SystemClock
from polyscene.core.config import Config
from polyscene.core.contracts import Data, Encodes, Part, Progress, Run, Stage, StillView, silent
from polyscene.core.errors import ConfigError, NotFoundError, nearest
from polyscene.core.memo import memo
from polyscene.core.queries import Queries
from polyscene.core.slates import Slates
from polyscene.dataset.digest import digest_of
from polyscene.dataset.split import split
from polyscene.dataset.world import World
from polyscene.evaluate.intervals import compare
from polyscene.jobs.bundles import promote
from polyscene.jobs.evaluate import EvaluateRequest, checked, data_of, exam_of, learner_of
from polyscene.jobs.exam import AskedScene, Exam, Ready, Trial
from polyscene.jobs.loader import Loader
from polyscene.jobs.workspace import Workspace
from polyscene.lean.folder import Leans, write_lean
from polyscene.lean.model import LeanModel
from polyscene.rank.compressed import Compressed
from polyscene.rank.members import trainable
from polyscene.retrieve.step import Step, StepPart, step_of
from polyscene.retrieve.union import UnionPart
from polyscene.scenario.file import Scenario
from polyscene.scenario.run import Pipeline

ASKED_ALONE = 50
"""Queries that are answered one at a time, for what a request costs."""
ROUNDS = 3
"""Times that each is asked; the cheapest counts, as the machine may be busy with other work."""
METRIC = "ndcg@10"


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleRequest:
    """Which model of which bundle to compress, and how.

    `bundle` None: the one that serves. `source`: the name of the model in the scenario; None where it has
    but one source. `promote`: make the new bundle serve, if the canary lets it; `force`: even if not.
    """

    scenario: str
    methods: tuple[Methods, ...]
    bundle: str | None = None
    source: str | None = None
    promote: bool = True
    force: bool = False


def compress_model(
    request: EvaluateRequest,
    methods: Sequence[Methods],
    progress: Progress = silent,
    out: Path | None = None,
) -> dict[str, Any]:
    """A model fitted, compressed, and both forms measured, as JSON data; `out`: folder for the lean form.

    Raises:
        ConfigError: As `evaluate`; a method finds nothing to work on; or no lean form can be written.
        DataError: The data can't be read or split so.
        BundleError: The folder exists.
    """
    fit_on = checked(request)
    name, learner, config = learner_of(request)
    if not isinstance(learner, Config):
        raise ConfigError("compress: give a model (--model KIND), or the scenario of a workspace")
    source, encoded = data_of(request)
    parts = split(encoded.data, request.protocol, seed=request.seed, ids=encoded)
    exam = exam_of(request, parts, fit_on, progress)
    run = exam.run()
    part = trainable(learner).fit(exam.data, run)
    small = Compressed(of=learner, methods=tuple(methods), states_mb=0).shrink(part, exam.data, run)
    result = {
        "data": source,
        "model": name,
        "config": config,
        "methods": msgspec.to_builtins(tuple(methods)),
        "split": {"protocol": request.protocol, "digest": parts.digest},
        "on": request.on,
        "fit_on": fit_on,
        "seed": request.seed,
        **measured(exam, (served(learner, part, run), small)),
        "warnings": list(run.warnings),
    }
    if out is not None:
        if not isinstance(small, LeanModel):
            raise ConfigError(
                f"compress: {name!r} has no lean form to write; train it in a workspace, whose bundles hold"
                " any form"
            )
        write_lean(out, small, encoded.items.ids_of(small.rows.codes), SystemClock().now())
    return result


def compress_bundle(
    workspace: Workspace, request: BundleRequest, progress: Progress = silent
) -> dict[str, Any]:
    """A new bundle of a scenario with one model compressed, and both measured, as JSON data.

    Each user's last event is asked for, as `train` does; a bundle that was fitted without a holdout has
    seen it, and ``warnings`` says so.

    Raises:
        NotFoundError: No such scenario, bundle or source.
        ConfigError: There are several sources and none is named, or a method finds nothing to work on.
        DataError: The log has no events.
    """
    shelf = workspace.shelf()
    bundle = request.bundle or shelf.current(request.scenario)
    if bundle is None:
        hint = nearest(request.scenario, shelf.names())
        raise NotFoundError(f"compress: {request.scenario!r} has no bundle{hint}; run `polyscene train`")
    with workspace.reader() as log:
        world = World.open(log)
        loaded = Loader(shelf, world).load(request.scenario, bundle)
        scenario, pipeline = loaded.served.scenario, loaded.served.pipeline
        data = world.data()
        parts = split(data, "loo", repeats="drop" if scenario.seen == "drop" else "keep")
        settings = workspace.train
        run = Run(
            seed=settings.seed,
            view=StillView.of(data),
            threads=settings.threads,
            progress=progress,
        )
        swap = _Swap(_source(pipeline, request.source), request.methods, scenario, parts.fit_all, run)
        new_scenario, new_pipeline = swap.all(pipeline)
        exam = exam_of(EvaluateRequest(data="", seed=run.seed), parts, "all", progress)
        asked = (
            AskedScene(scenario, pipeline, parts.fit_all),
            AskedScene(new_scenario, new_pipeline, parts.fit_all),
        )
        figures = measured(exam, swap.forms(), asked)
        facts = _facts(loaded.manifest, bundle, new_scenario, figures["after"]["metrics"])
        new = shelf.add(request.scenario, new_pipeline.state(), facts)
        warnings = [*run.warnings, *_doubts(loaded.manifest, data)]
    if request.promote:
        promote(workspace.root, request.scenario, new, force=request.force)
    return {
        "scenario": request.scenario,
        "bundle": new,
        "from": bundle,
        "promoted": request.promote,
        "source": swap.name,
        "methods": msgspec.to_builtins(request.methods),
        **figures,
        "warnings": warnings,
    }


def _facts(before: Manifest, bundle: str, scenario: Scenario, metrics: Mapping[str, float]) -> Facts:
    """What is said of the new bundle: it was fitted as the one before was."""
    return Facts(
        kind="scenario",
        created=SystemClock().now(),
        config=msgspec.to_builtins(scenario),
        data=before.data,
        log_position=before.log_position,
        metrics={**before.metrics, **metrics},
        notes=(*before.notes, f"compressed from {bundle}"),
        parent=bundle,
    )


def _doubts(manifest: Manifest, data: Data) -> list[str]:
    """Why the figures of a bundle on this data may be too good, or not its own."""
    if not manifest.metrics:
        return ["the bundle was fitted without a holdout, so it has seen what it is asked"]
    if manifest.data != digest_of(data):
        return ["the log has other events than when the bundle was fitted"]
    return []


class _Swap:
    """Puts the compressed form of one source in its place."""

    def __init__(
        self, source: StepPart, methods: tuple[Methods, ...], scenario: Scenario, data: Data, run: Run
    ) -> None:
        if isinstance(source.step.stage, Compressed):
            raise ConfigError(
                f"compress: {source.name!r} is compressed already; name the bundle before it (--bundle)"
            )
        self.name, self.before, self._scenario, self._run = source.name, source.part, scenario, run
        self.config = Compressed(of=source.step.stage, methods=methods)
        liked = replace(data, histories=scenario.signals.likes(data.histories, data.actions))
        self.after = self.config.shrink(source.part, liked, run)

    def all(self, pipeline: Pipeline) -> tuple[Scenario, Pipeline]:
        """The scenario and its pipeline with the new form in them."""
        parts = tuple(self._one(part) for part in pipeline.parts)
        scenario = msgspec.structs.replace(self._scenario, stages=tuple(part.step for part in parts))
        return scenario, Pipeline(pipeline.name, parts, pipeline.budget_ms)

    def forms(self) -> tuple[Stage, Stage]:
        """What is measured beside each other; a lean form keeps nothing between two queries."""
        after = replace(self.after, states=None) if isinstance(self.after, LeanModel) else self.after
        return served(self.config.of, self.before, self._run), after

    def _one(self, part: StepPart) -> StepPart:
        if part.name == self.name:
            return StepPart(self._step(part.step, self.config), self.after)
        if isinstance(part.part, UnionPart):
            members = tuple(self._one(member) for member in part.part.members)
            union = msgspec.structs.replace(part.step.stage, of=tuple(member.step for member in members))
            return StepPart(self._step(part.step, union), UnionPart(part.part.smoothing, members))
        return part

    def _step(self, step: Step, stage: Config) -> Step:
        """The same step with another stage, called as it was, so that columns and rankers stay true."""
        return msgspec.structs.replace(step_of(step), stage=stage, name=step.called)


def _source(pipeline: Pipeline, name: str | None) -> StepPart:
    """The source of that name, or the only one."""
    sources = {part.name: part for part in pipeline.sources()}
    if name is None and len(sources) == 1:
        return next(iter(sources.values()))
    if name is None:
        raise ConfigError(f"compress: which model? Name one with --source: {', '.join(sorted(sources))}")
    if name not in sources:
        raise NotFoundError(f"compress: the scenario has no source {name!r}{nearest(name, sources)}")
    return sources[name]


def served(config: Config, part: Part, run: Run) -> Stage:
    """What serves in full precision: the lean form where that is whole, else the part itself."""
    if not isinstance(part, Leans):
        return part
    loaded = trainable(config).load(part.state(), run)
    if isinstance(loaded, Leans) and loaded.lean is not None and loaded.lean_is_whole:
        return replace(loaded.lean, states=None)
    return part


def measured(
    exam: Exam, forms: tuple[Stage, Stage], asked: tuple[Stage, Stage] | None = None
) -> dict[str, Any]:
    """Both forms with size, cost and accuracy; what is `asked` may be a whole scenario around them."""
    trials = [exam.sit("", Ready(stage)) for stage in asked or forms]
    was, now = (trial.measures.per_query[METRIC] for trial in trials)
    rows = [_figures(form, trial, exam.holdout.queries) for form, trial in zip(forms, trials, strict=True)]
    return {
        "queries": len(exam.holdout.queries),
        "before": rows[0],
        "after": rows[1],
        "gap": asdict(compare(now, was, seed=exam.seed)),
    }


def _figures(form: Stage, trial: Trial, queries: Queries) -> dict[str, Any]:
    tensors = form.state().tensors.values() if isinstance(form, Part) else ()
    encode_ms, scan_ms = request_ms(form, queries)
    return {
        "size_mb": sum(np.asarray(each).nbytes for each in tensors) / 1e6,
        "encode_ms": encode_ms,
        "scan_ms": scan_ms,
        "metrics": dict(trial.measures.totals),
        "intervals": {METRIC: list(trial.intervals[METRIC])},
    }


def request_ms(stage: Stage, queries: Queries) -> tuple[float | None, float]:
    """Mean CPU milliseconds of a query answered alone on one core: to read its history, and for the rest.

    None for what does not read a history apart.
    """
    encodes, scans = list[float](), list[float]()
    with threadpool_limits(1):
        for row in np.linspace(0, len(queries) - 1, min(ASKED_ALONE, len(queries))).astype(np.int64):
            one = queries.take(np.array([row]))
            rounds = [_once(stage, one) for _ in range(ROUNDS)]
            encodes.append(min(encode for encode, _ in rounds))
            scans.append(min(scan for _, scan in rounds))
    return float(np.mean(encodes)) if isinstance(stage, Encodes) else None, float(np.mean(scans))


def _once(stage: Stage, one: Queries) -> tuple[float, float]:
    with memo():
        began = process_time()
        if isinstance(stage, Encodes):
            stage.encode(one)
        read = process_time()
        stage(one, Slates.empty(1))
        return (read - began) * 1e3, (process_time() - read) * 1e3
