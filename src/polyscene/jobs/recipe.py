"""A scenario as people look at it: its stages in order, what each costs, and the file behind it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec

from polyscene.core.config import Config, kind_of
from polyscene.core.errors import ConfigError
from polyscene.models.table import KINDS as MODELS
from polyscene.rank.table import KINDS as RANKERS
from polyscene.retrieve.step import Step
from polyscene.retrieve.table import KINDS as RETRIEVERS
from polyscene.scenario.answer import Served
from polyscene.scenario.file import Scenario, load_scenario

Role = Literal["source", "union", "rank", "rerank", "explore"]


@dataclass(frozen=True, slots=True)
class StageFacts:
    """One step: what it is called, its place in the walk, and how long it took lately.

    `take`: candidates it brings. `optional`: the answer goes on without it. `ms` None: not measured yet.
    `settings`: what the file says otherwise than by default. `of`: the members of a union.
    """

    name: str
    kind: str
    role: Role
    take: int | None
    optional: bool
    ms: float | None
    settings: dict[str, Any]
    of: list["StageFacts"]


@dataclass(frozen=True, slots=True)
class Recipe:
    """A scenario with its file.

    `bundle` None: never trained, then the stages are the file's. `changed`: the file says otherwise than
    the bundle that serves. `file_problem`: why the file can't be read now; empty when it can.
    """

    name: str
    bundle: str | None
    slate: int
    budget_ms: float | None
    kind: str | None
    where: str | None
    seen: str
    history: int
    anchors: str
    positive: dict[str, float]
    negative: dict[str, float | str]
    fallback: str | None
    stages: list[StageFacts]
    file: str
    text: str
    file_problem: str
    changed: bool


def recipe(folder: Path, name: str, served: Served | None) -> Recipe | None:
    """The scenario `name` as it serves, and its file in `folder`; None when there is neither."""
    path, written, problem = _file(folder, name)
    scenario = served.scenario if served else written
    if scenario is None:
        return None
    costs = served.pipeline.costs.ms if served else {}
    return Recipe(
        name=name,
        bundle=served.bundle if served else None,
        slate=scenario.slate,
        budget_ms=scenario.budget_ms,
        kind=scenario.kind,
        where=scenario.where,
        seen=scenario.seen,
        history=scenario.history,
        anchors=scenario.anchors,
        positive=dict(scenario.positive),
        negative=dict(scenario.negative),
        fallback=scenario.fallback,
        stages=[_stage(step, costs) for step in scenario.steps],
        file=path.name if path else "",
        text=path.read_text(encoding="utf-8") if path else "",
        file_problem=problem,
        changed=written is not None and written != scenario,
    )


def _file(folder: Path, name: str) -> tuple[Path | None, Scenario | None, str]:
    """The file that says it is the scenario `name`; the client's text is compared, never opened."""
    problem = ""
    for path in sorted(folder.glob("*.toml")):
        try:
            scenario = load_scenario(path)
        except ConfigError as fault:
            problem = problem or str(fault)
            continue
        if scenario.scenario == name:
            return path, scenario, ""
    return None, None, problem


def _stage(step: Step, costs: Mapping[str, float]) -> StageFacts:
    kind, ms = kind_of(step.stage), costs.get(step.called)
    members: tuple[Step, ...] = getattr(step.stage, "steps", ())
    return StageFacts(
        name=step.called,
        kind=kind,
        role=_role(kind),
        take=step.take,
        optional=step.on_error == "skip",
        ms=None if ms is None else round(ms, 3),
        settings=_settings(step.stage),
        of=[_stage(member, costs) for member in members],
    )


def _role(kind: str) -> Role:
    if kind in ("union", "explore"):
        return "union" if kind == "union" else "explore"
    if kind in MODELS or kind in RETRIEVERS:
        return "source"
    return "rank" if kind in RANKERS else "rerank"


def _settings(config: Config) -> dict[str, Any]:
    """What is set otherwise than by default, as JSON data; members of a union stand by themselves."""
    return {
        field.name: msgspec.to_builtins(getattr(config, field.name))
        for field in msgspec.structs.fields(config)
        if field.name != "of" and getattr(config, field.name) != _default(field)
    }


def _default(field: msgspec.structs.FieldInfo) -> Any:
    fresh = field.default_factory
    return field.default if fresh is msgspec.NODEFAULT else fresh()
