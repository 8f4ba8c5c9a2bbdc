"""Evaluating a model or a whole scenario: split, fit, rank everything, compare, warn, report."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, cast

import msgspec

from polyscene.core.config import Config, find, load_config, read, to_json, with_settings
from polyscene.core.contracts import Data, Progress, Training, silent
from polyscene.core.errors import ConfigError, DataError
from polyscene.dataset.clean import EVALUATION
from polyscene.dataset.encode import Encoded, encode
from polyscene.dataset.prepare.prepared import is_prepared, open_as
from polyscene.dataset.reading import Reading
from polyscene.dataset.split import Protocol, Split, split
from polyscene.evaluate.beyond import item_facts
from polyscene.evaluate.charts import charts
from polyscene.evaluate.intervals import Comparison, compare
from polyscene.evaluate.page import html
from polyscene.evaluate.warn import below_baselines, suspicious
from polyscene.jobs.exam import Exam, Learner, Scene, Trial
from polyscene.jobs.infer import load_or_propose
from polyscene.models.table import KINDS
from polyscene.observe.timing import peak_mb
from polyscene.rank.table import RANKERS
from polyscene.scenario.file import Scenario, load_scenario

BASELINES: Mapping[str, Mapping[str, Any]] = {
    "popular": {"kind": "popular"},
    "recent_popular": {"kind": "recent_popular"},
    "transitions": {"kind": "covisit", "window": 1, "last": 1},
}
"""What always stands beside: popularity, popularity lately, and what came next after the last item."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluateRequest:
    """What to evaluate and how.

    `model` is a kind, or a TOML file with a ``kind`` and its settings; `scenario` is a file; exactly one is
    given. `settings` are ``key=value`` texts for the model's config, `mapping` field -> column of the data,
    `rules` cleaning rules over those of `EVALUATION`. `fit_on`: ``all`` learns from the training and
    validation parts (None means that on ``test``), ``train`` from the training part alone, with early
    stopping and tuning on the validation part. `ks`: cut-offs, the first is the main one. `against`:
    further kinds or files to fit beside. `training`: what trainings keep and take.
    """

    data: str
    protocol: Protocol = "loo"
    model: str | None = None
    scenario: Path | None = None
    settings: Mapping[str, str] = field(default_factory=dict)
    mapping: Mapping[str, str] = field(default_factory=dict)
    rules: Mapping[str, object] = field(default_factory=dict)
    seed: int = 0
    on: Literal["test", "valid"] = "test"
    fit_on: Literal["all", "train"] | None = None
    ks: tuple[int, ...] = (10, 50)
    baselines: bool = True
    against: tuple[str, ...] = ()
    html: Path | None = None
    training: Training = field(default_factory=Training)


def evaluate(request: EvaluateRequest, progress: Progress = silent) -> dict[str, Any]:
    """The result as JSON data, in the form of ``polyscene evaluate --json``; writes the page when asked.

    Raises:
        ConfigError: No or two things to evaluate, an unknown kind or setting, cut-offs below 1, or a fit on
            the part that is to be ranked.
        DataError: The data can't be read or split so.
    """
    fit_on = checked(request)
    name, learner, config = learner_of(request)
    rivals = rivals_of(request)
    source, encoded = data_of(request)
    parts = split(encoded.data, request.protocol, seed=request.seed, ids=encoded)
    exam = exam_of(request, parts, fit_on, progress)
    ours = exam.sit(name, learner)
    most_mb = peak_mb()
    beside = [exam.sit(other, each) for other, each in rivals.items()]
    gaps = {each.name: _gaps(ours, each, request) for each in beside}
    result = {
        "data": source,
        "users": len(encoded.data.users),
        "items": encoded.data.size,
        "events": len(encoded.data.histories["item"]),
        "split": {"protocol": request.protocol, "digest": parts.digest},
        "model": name,
        "config": config,
        **ours.figures(),
        "peak_mb": most_mb,
        "queries": len(exam.holdout.queries),
        "on": request.on,
        "fit_on": fit_on,
        "seed": request.seed,
        "baselines": {each.name: each.figures() for each in beside},
        "comparison": {other: {m: asdict(gap) for m, gap in each.items()} for other, each in gaps.items()},
        "warnings": _warnings(ours, beside, gaps, exam),
    }
    if request.html is not None:
        _write_page(request.html, result, [ours, *beside], exam)
    return result


def evaluate_data(
    scenario: Scenario, data: Data, *, seed: int = 0, progress: Progress = silent
) -> dict[str, Any]:
    """The figures of a scenario on data at hand, each user's last event held out; as `evaluate` gives them.

    Raises:
        DataError: Nobody has enough events to hold one out.
    """
    parts = split(data, "loo", seed=seed, repeats="drop" if scenario.seen == "drop" else "keep")
    if not len(parts.test.queries):
        raise DataError("evaluate: no user has enough events to hold one out; post more events first")
    request = EvaluateRequest(data="", seed=seed)
    exam = exam_of(request, parts, "all", progress)
    ours = exam.sit(scenario.scenario, Scene(scenario))
    beside = [exam.sit(other, each) for other, each in rivals_of(request).items()]
    gaps = {each.name: _gaps(ours, each, request) for each in beside}
    return {
        "scenario": scenario.scenario,
        "users": len(data.users),
        "items": data.size,
        "events": len(data.histories["item"]),
        "split": {"protocol": "loo", "digest": parts.digest},
        **ours.figures(),
        "queries": len(exam.holdout.queries),
        "seed": seed,
        "baselines": {each.name: each.figures() for each in beside},
        "warnings": _warnings(ours, beside, gaps, exam),
    }


def data_of(request: EvaluateRequest) -> tuple[str, Encoded]:
    """The name of the data and the data, from a prepared folder without reading it all."""
    if is_prepared(request.data):
        return open_as(Path(request.data), EVALUATION, only_touched=True)
    tables = load_or_propose(request.data, Reading(request.mapping, request.rules), base=EVALUATION)
    return tables.name, encode(tables, only_touched=True)


def checked(request: EvaluateRequest) -> Literal["all", "train"]:
    """What is learned from. Raises ConfigError for cut-offs and parts that make no sense."""
    if not request.ks or min(request.ks) < 1:
        raise ConfigError(f"evaluate: cut-offs are {list(request.ks)}; give at least one, none below 1")
    if request.on == "valid" and request.fit_on == "all":
        raise ConfigError(
            "evaluate: --on valid with --fit-on all would learn from what it is asked; use --fit-on train"
        )
    return request.fit_on or ("all" if request.on == "test" else "train")


def learner_of(request: EvaluateRequest) -> tuple[str, Learner, dict[str, Any]]:
    """The name, the thing to fit and its config as JSON data."""
    if (request.model is None) == (request.scenario is None):
        raise ConfigError("evaluate: give either a model (--model KIND) or a scenario (--scenario FILE)")
    if request.scenario is not None:
        if request.settings:
            raise ConfigError("evaluate: --set changes a model; change the scenario's file instead")
        scenario = load_scenario(request.scenario)
        return scenario.scenario, Scene(scenario), msgspec.to_builtins(scenario)
    name = str(request.model)
    config = with_settings(plain(name, "--model"), request.settings, f"--model {name}", KINDS)
    return Path(name).stem, cast("Learner", config), to_json(config)


def rivals_of(request: EvaluateRequest) -> dict[str, Learner]:
    """What stands beside, by name: the baselines but for the model itself, and what was asked for."""
    rivals = {
        other: cast("Learner", read(KINDS, plan, f"baseline {other}"))
        for other, plan in BASELINES.items()
        if request.baselines and other != request.model
    }
    for other in request.against:
        rivals[Path(other).stem] = cast("Learner", plain(other, "--against"))
    return rivals


def plain(name: str, option: str) -> Config:
    """The model of a kind as it is by default, or that of a file. Raises ConfigError for a ranker's."""
    if name in RANKERS:
        raise ConfigError(
            f"{option}: {name!r} is a ranker: it orders what models brought; make it a stage behind them in"
            " a scenario file and name that file (--scenario)"
        )
    return load_config(Path(name), KINDS) if name.endswith(".toml") else find(KINDS, name, option)()


def exam_of(request: EvaluateRequest, parts: Split, fit_on: str, progress: Progress) -> Exam:
    """What everyone is given. Raises DataError where nobody is asked."""
    data = parts.fit_all if fit_on == "all" else parts.train
    holdout = parts.test if request.on == "test" else parts.valid
    if not len(holdout.queries):
        raise DataError(f"evaluate: the {request.on} part of protocol {request.protocol!r} is empty")
    stop_early = fit_on == "train" and len(parts.valid.queries) > 0
    return Exam(
        data,
        holdout,
        item_facts(data, holdout.queries),
        request.ks,
        request.seed,
        parts.valid if stop_early else None,
        progress,
        request.training,
    )


def _gaps(ours: Trial, theirs: Trial, request: EvaluateRequest) -> dict[str, Comparison]:
    """Paired comparisons of the main metrics."""
    names = (f"ndcg@{request.ks[0]}", f"hr@{request.ks[0]}", f"recall@{request.ks[0]}")
    return {
        name: compare(ours.measures.per_query[name], theirs.measures.per_query[name], seed=request.seed)
        for name in names
    }


def _warnings(
    ours: Trial, beside: Sequence[Trial], gaps: Mapping[str, Mapping[str, Comparison]], exam: Exam
) -> list[str]:
    metric = f"ndcg@{exam.ks[0]}"
    value = ours.measures.totals[metric]
    theirs = {each.name: each.measures.totals[metric] for each in beside}
    return [
        *ours.warnings,
        *below_baselines(
            ours.name, metric, value, theirs, {name: each[metric] for name, each in gaps.items()}
        ),
        *suspicious(metric, value, ours.ranking, exam.facts.touched),
    ]


def _write_page(path: Path, result: Mapping[str, Any], trials: Sequence[Trial], exam: Exam) -> None:
    k = exam.ks[0]
    lengths = exam.holdout.queries.history.lengths
    series = {
        each.name: charts(each.ranking, exam.facts, each.measures.per_query[f"ndcg@{k}"], lengths, k)
        for each in trials
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(html(result, series, f"ndcg@{k}"), encoding="utf-8")
