"""Several models, or several forms of one, asked the same questions."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from time import process_time
from typing import Any, cast

import numpy as np

from polyscene.core.contracts import Progress, Stage, silent
from polyscene.core.errors import ConfigError, DataError, PolysceneError
from polyscene.core.queries import Queries
from polyscene.core.slates import Slates
from polyscene.dataset.split import split
from polyscene.evaluate.charts import charts
from polyscene.evaluate.comparison import html
from polyscene.evaluate.intervals import compare
from polyscene.evaluate.validation import asked_in
from polyscene.evaluate.warn import suspicious
from polyscene.jobs.evaluate import EvaluateRequest, checked, data_of, exam_of, learner_of, plain
from polyscene.jobs.exam import Exam, Learner, Trial
from polyscene.jobs.harm import LEAST_QUESTIONS, standings
from polyscene.models.table import MODELS

ASKED_ALONE = 50
"""Queries that are answered one at a time, for what a request costs."""


def compare_models(
    request: EvaluateRequest, models: Sequence[str], progress: Progress = silent
) -> dict[str, Any]:
    """Every model fitted on the same part and asked the same questions, the best first, as JSON data.

    `models` are kinds, or TOML files with one; ``request.model`` is not looked at. Gaps are paired
    intervals to the best. A model that can't be fitted on this data is left out, ``failed`` says why.

    Raises:
        ConfigError: Fewer than two models, an unknown one, or what `evaluate` refuses.
        DataError: The data can't be read or split so, or no model could be fitted.
    """
    if len(set(models)) < 2:
        raise ConfigError(
            f"compare: got {len(set(models))} models; name two or more (--model KIND, repeat it)"
        )
    fit_on = checked(request)
    stems = [Path(name).stem for name in dict.fromkeys(models)]
    learners = {
        stem if stems.count(stem) == 1 else name: cast("Learner", plain(name, "--model"))
        for stem, name in zip(stems, dict.fromkeys(models), strict=True)
    }
    source, encoded = data_of(request)
    parts = split(encoded.data, request.protocol, seed=request.seed, ids=encoded)
    exam = exam_of(request, parts, fit_on, progress)
    entries, failed = _entries(exam, learners)
    metric = f"ndcg@{request.ks[0]}"
    entries.sort(key=lambda each: -each.trial.measures.totals[metric])
    result = {
        "data": source,
        "users": len(encoded.data.users),
        "items": encoded.data.size,
        "events": len(encoded.data.histories["item"]),
        "split": {"protocol": request.protocol, "digest": parts.digest},
        "on": request.on,
        "fit_on": fit_on,
        "seed": request.seed,
        "queries": len(exam.holdout.queries),
        "metric": metric,
        "models": [each.figures(entries[0], metric, request.seed) for each in entries],
        "failed": failed,
        "warnings": _warnings(entries, metric, exam),
    }
    if request.html is not None:
        _write_page(request.html, result, entries, exam)
    return result


@dataclass(frozen=True, slots=True)
class _Entry:
    """One model's trial, and what it costs: MB of its state, CPU milliseconds of a request."""

    trial: Trial
    size_mb: float
    request_ms: float

    def figures(self, best: "_Entry", metric: str, seed: int) -> dict[str, Any]:
        ours, theirs = (each.trial.measures.per_query[metric] for each in (self, best))
        kind = MODELS.get(self.trial.name)
        return {
            "model": self.trial.name,
            "family": "" if kind is None else kind.family,
            **self.trial.figures(),
            "gap": None if self is best else asdict(compare(ours, theirs, seed=seed)),
            "size_mb": self.size_mb,
            "request_ms": self.request_ms,
        }


def _entries(exam: Exam, learners: Mapping[str, Learner]) -> tuple[list[_Entry], dict[str, str]]:
    """Those that could be fitted, and why the others could not."""
    entries, failed = list[_Entry](), dict[str, str]()
    for name, learner in learners.items():
        kept = _Kept(learner)
        try:
            trial = exam.sit(name, kept)
        except PolysceneError as problem:
            failed[name] = str(problem)
            continue
        tensors = kept.stage.state().tensors.values() if hasattr(kept.stage, "state") else ()
        size_mb = sum(np.asarray(each).nbytes for each in tensors) / 1e6
        entries.append(_Entry(trial, size_mb, request_ms(kept.stage, exam.holdout.queries)))
    if not entries:
        raise DataError("compare: no model could be fitted: " + "; ".join(failed.values()))
    return entries, failed


class _Kept:
    """A learner that remembers what it learned."""

    stage: Any

    def __init__(self, learner: Learner) -> None:
        self._learner = learner

    def fit(self, data: Any, run: Any) -> Stage:
        self.stage = self._learner.fit(data, run)
        return cast("Stage", self.stage)


def request_ms(stage: Stage, queries: Queries) -> float:
    """Median CPU milliseconds of one query answered alone."""
    spent = []
    for row in np.linspace(0, len(queries) - 1, min(ASKED_ALONE, len(queries))).astype(np.int64):
        one = queries.take(np.array([row]))
        began = process_time()
        stage(one, Slates.empty(1))
        spent.append((process_time() - began) * 1e3)
    return median(spent)


def _warnings(entries: Sequence[_Entry], metric: str, exam: Exam) -> list[str]:
    best = entries[0].trial
    lines = [line for each in entries for line in each.trial.warnings]
    return lines + suspicious(metric, best.measures.totals[metric], best.ranking, exam.facts.touched)


def _write_page(path: Path, result: Mapping[str, Any], entries: Sequence[_Entry], exam: Exam) -> None:
    k, lengths = exam.ks[0], exam.holdout.queries.history.lengths
    series = {
        each.trial.name: charts(
            each.trial.ranking, exam.facts, each.trial.measures.per_query[f"ndcg@{k}"], lengths, k
        )
        for each in entries
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(html(result, series), encoding="utf-8")


def compare_scenarios(request: EvaluateRequest, progress: Progress = silent) -> dict[str, Any]:
    """Each scenario's own model, the one of all and the adapted one beside each other, as JSON data.

    `request.model` is of kind ``adapted``. Scenarios of fewer than `LEAST_QUESTIONS` questions are left
    out.

    Raises:
        ConfigError: As `evaluate`, or the model is of another kind.
        DataError: As `evaluate`, or no two scenarios can be told apart.
    """
    from polyscene.rank.adapted import Adapted

    fit_on = checked(request)
    name, learner, config = learner_of(request)
    if not isinstance(learner, Adapted):
        raise ConfigError(f"compare: {name!r} is not of kind 'adapted', which has the three forms")
    source, encoded = data_of(request)
    data = encoded.data
    parts = split(data, request.protocol, seed=request.seed, ids=encoded)
    exam = exam_of(request, parts, fit_on, progress)
    asked = {code: asked_in(exam.holdout, code) for code in range(len(data.scenarios))}
    asked = {code: each for code, each in asked.items() if len(each.queries) >= LEAST_QUESTIONS}
    if len(data.scenarios) < 2 or not asked:
        raise DataError(
            f"compare: {source} has {len(data.scenarios)} scenarios, {len(asked)} of them with"
            f" {LEAST_QUESTIONS} held-out events or more; map a column (--map scenario=COLUMN)"
        )
    found = standings(learner, exam.data, asked, valid=exam.valid, seed=request.seed, progress=progress)
    return {
        "data": source,
        "split": {"protocol": request.protocol, "digest": parts.digest},
        "model": name,
        "config": config,
        "on": request.on,
        "fit_on": fit_on,
        "seed": request.seed,
        "scenarios": [each.figures() for each in found],
    }
