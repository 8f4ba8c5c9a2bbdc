"""The result of a study as JSON data: what was chosen, why, and how it does on the test part."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from shlex import quote
from typing import Any

import msgspec
import numpy as np

from polyscene.core.arrays import Array
from polyscene.evaluate.intervals import compare, intervals
from polyscene.jobs.tune.ground import METRIC, Facts, Mark
from polyscene.jobs.tune.journal import Tried
from polyscene.jobs.tune.plan import best_by_kind, front_of
from polyscene.jobs.tune.searches import Search

FEW_TRIALS = 5
"""Below so many trials a kind was hardly searched."""


@dataclass(frozen=True, slots=True)
class Told:
    """What a study came to know: its trials and what Optuna makes of them."""

    tried: Sequence[Tried]
    searches: Mapping[str, Search]
    latency_ms: float | None
    seed: int


@dataclass(frozen=True, slots=True)
class Marks:
    """The marks of the chosen settings (``""``) and of each kind's defaults; why others have none."""

    found: Mapping[str, Mark]
    failed: Mapping[str, str]


def result_of(
    facts: Facts, beside: Mapping[str, Any], told: Told, chosen: Tried, marks: Marks
) -> dict[str, Any]:
    """Everything that is shown; `beside` goes in as it is."""
    tried = list(told.tried)
    ours = np.array(marks.found[""].values)
    found = {
        **msgspec.structs.asdict(facts),
        "metric": METRIC,
        "seed": told.seed,
        **beside,
        "chosen": _chosen(chosen, told, ours),
        "kinds": [_kind(kind, told, ours, marks) for kind in told.searches],
        "importance": {kind: search.importance() for kind, search in told.searches.items()},
        "front": [tried.index(each) for each in front_of(tried)],
        "trials": [msgspec.to_builtins(each) for each in tried],
    }
    return {**found, "warnings": _warnings(found)}


def _chosen(chosen: Tried, told: Told, ours: Array) -> dict[str, Any]:
    search = told.searches[chosen.kind]
    settings = search.config(chosen.settings)
    low, high = intervals({METRIC: ours}, seed=told.seed)[METRIC]
    return {
        "kind": chosen.kind,
        "settings": settings,
        "start": search.standing(),
        "command": command_of(chosen.kind, settings),
        "validation": chosen.score,
        "request_ms": chosen.request_ms,
        "fit_cpu_s": chosen.fit_cpu_s,
        "test": {"value": float(ours.mean()), "low": low, "high": high},
    }


def command_of(kind: str, settings: Mapping[str, Any]) -> str:
    """The options of `polyscene evaluate` that give this model again."""
    texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in settings.items()}
    sets = [f"--set {quote(f'{key}={text}')}" for key, text in texts.items()]
    return " ".join([f"--model {kind}", *sets])


def _kind(kind: str, told: Told, ours: Array, marks: Marks) -> dict[str, Any]:
    """How the search of one kind went; `gap` is the chosen settings less this kind's start, on test."""
    mine = [each for each in told.tried if each.kind == kind]
    best = best_by_kind(mine, told.latency_ms).get(kind)
    first = next((each for each in mine if not each.settings), None)
    mark = marks.found.get(kind)
    theirs = None if mark is None else np.array(mark.values)
    ends = [each.end if each.end != "done" or each.within(told.latency_ms) else "slow" for each in mine]
    why = marks.failed.get(
        kind, "" if first is None or first.end == "done" else f"{first.end}: {first.why}"
    )
    return {
        "kind": kind,
        "trials": len(mine),
        "ends": {end: ends.count(end) for end in dict.fromkeys(ends)},
        "seconds": sum(each.seconds for each in mine),
        "start": None if first is None else first.score,
        "best": None if best is None else best.score,
        "settings": None if best is None else told.searches[kind].config(best.settings),
        "request_ms": None if best is None else best.request_ms,
        "test": None if theirs is None else float(theirs.mean()),
        "gap": None if theirs is None else asdict(compare(ours, theirs, seed=told.seed)),
        "why": "there was no time to begin" if first is None else why,
    }


def _warnings(found: Mapping[str, Any]) -> list[str]:
    """What a reader should know before believing the figures."""
    lines = [f"{each['kind']} was left out: {each['why']}" for each in found["kinds"] if each["why"]]
    scarce = [each["kind"] for each in found["kinds"] if not each["why"] and each["trials"] < FEW_TRIALS]
    if scarce:
        lines.append(f"hardly searched (below {FEW_TRIALS} trials): {', '.join(scarce)}; raise --budget")
    if found["looks"] > 1:
        lines.append(
            f"this study looked at the test part {found['looks']} times; its figure there is too good if"
            " the limits were raised because of it"
        )
    lines += [
        f"{each['kind']} with its start settings is better on the test part: {each['test']:.4f} against"
        f" {found['chosen']['test']['value']:.4f}, p {each['gap']['p']:.3f}"
        for each in found["kinds"]
        if each["gap"] is not None and each["gap"]["difference"] < 0
    ]
    return lines
