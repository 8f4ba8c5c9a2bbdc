"""Scenario files: TOML read into a typed, checked `Scenario`, which is itself an untrained part."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import numpy as np

from polyscene.core.arrays import Ragged, distinct
from polyscene.core.catalogue import Catalogue
from polyscene.core.config import Config, fill, kind_of, load_toml
from polyscene.core.contracts import Data, Run, State
from polyscene.core.errors import ConfigError, FilterError, nearest
from polyscene.core.queries import Eligible, Queries
from polyscene.core.states import unpack
from polyscene.events.event import IMPRESSION
from polyscene.models.table import KINDS as MODELS
from polyscene.retrieve.step import Step, step_of
from polyscene.retrieve.table import KINDS as RETRIEVERS
from polyscene.rules.eligible import Rules
from polyscene.rules.filter import parse
from polyscene.scenario.fit import fit_steps
from polyscene.scenario.kinds import KINDS
from polyscene.scenario.run import Pipeline
from polyscene.scenario.signals import Signals

RUNNER_KEYS = ("name", "take", "on_error")
"""Keys of a stage or a union member that are read by the runner, not by the stage itself."""
Weight = Annotated[float, msgspec.Meta(gt=0)]
Attribute = Annotated[str, msgspec.Meta(min_length=1)]


class Scenario(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The recipe for one placement, as a file says it.

    `kind`: what it shows (None: every kind). `slate`: how many items by default. `budget_ms`: optional
    stages that no longer fit are left out, and after twice that time the fallback answers. `positive`:
    actions that count for an item, and how much; empty: every action counts. `negative`: actions after
    which the item (a number) or all items that share a value of the named attribute (a text) are not
    shown to that user again, until a later positive event on the same item. `fallback`: the scenario that
    fills up what this one can't. ``seen = "drop"`` never shows what the user touched. `where`: a rule in
    the filter language. `availability`: False shows items outside of their window, region and stock too.
    `history`: newest events that models see. ``anchors = "context"``: the items of ``context.anchors``
    (page, cart, playlist) stand in for the history.
    """

    scenario: str
    stages: tuple[Config, ...]
    kind: str | None = None
    slate: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 20
    budget_ms: Annotated[float, msgspec.Meta(gt=0)] | None = None
    positive: dict[str, Weight] = {}
    negative: dict[str, Weight | Attribute] = {}
    fallback: str | None = None
    seen: Literal["drop", "keep"] = "drop"
    where: str | None = None
    availability: bool = True
    history: Annotated[int, msgspec.Meta(ge=1)] = 200
    anchors: Literal["ignore", "context"] = "ignore"

    @property
    def steps(self) -> tuple[Step, ...]:
        """The stages, each as a step."""
        return tuple(step_of(stage) for stage in self.stages)

    def stage_names(self) -> list[str]:
        """What its sources and stages are called, in the order they work."""
        return [step.called for step in _flat(self.steps) if kind_of(step.stage) != "union"]

    @property
    def signals(self) -> Signals:
        """Which actions speak for and against an item."""
        return Signals(self.positive, self.negative)

    def rules(self) -> Rules:
        """What it may show."""
        return Rules(self.kind, self.where, availability=self.availability)

    def fit(self, data: Data, run: Run, warm: Pipeline | None = None) -> Pipeline:
        """The stages fitted in order on the positive events; see `fit_steps` for the two rounds."""
        liked = replace(data, histories=self.signals.likes(data.histories, data.actions))

        def prepare(queries: Queries) -> Queries:
            return self._narrow(queries, data.catalogue)

        parts = fit_steps(self.steps, liked, run, prepare=prepare, warm=warm.parts if warm else ())
        return Pipeline(self.scenario, parts, self.budget_ms)

    def load(self, state: State, run: Run) -> Pipeline:
        """The pipeline whose state this is. Raises BundleError when a stage's tensors don't fit."""
        parts = tuple(step.load(unpack(state, step.called), run) for step in self.steps)
        return Pipeline(self.scenario, parts, self.budget_ms)

    def adapt(self, queries: Queries, catalogue: Catalogue, actions: Sequence[str]) -> Queries:
        """Raw queries as this scenario would ask them, so that a holdout is asked as a client is.

        Histories keep positive events only and the newest `history` of them (the newest one alone where
        anchors stand in for a history); the scenario's rules, as of the time of each query, narrow what is
        allowed; what the user turned down is excluded; nothing else is where ``seen = "keep"``.
        """
        liked = self.signals.likes(queries.history, actions)
        barred = self.signals.barred(queries.history, actions, catalogue)
        narrow = self._narrow(replace(queries, history=liked), catalogue)
        return replace(narrow, exclude=_both(narrow.exclude, barred)) if len(barred.values) else narrow

    def _narrow(self, queries: Queries, catalogue: Catalogue) -> Queries:
        rules = self.rules().eligible(catalogue, [None] * len(queries), at=queries.at)
        # Each pair of a rule set of the query and one of the scenario becomes one rule set of both.
        pairs, groups = np.unique(
            np.stack([queries.allowed.groups, rules.groups]), axis=1, return_inverse=True
        )
        masks = queries.allowed.masks[pairs[0]]
        width = min(masks.shape[1], catalogue.size)
        masks[:, :width] &= rules.masks[pairs[1], :width]
        return replace(
            queries,
            history=queries.history.tail(1 if self.anchors == "context" else self.history),
            exclude=queries.exclude if self.seen == "drop" else Ragged.empty(len(queries)),
            allowed=Eligible(masks, groups.reshape(-1)),
        )


def _both(one: Ragged, other: Ragged) -> Ragged:
    """The values of two ragged lists, row by row, each once."""
    rows = np.concatenate([one.rows(), other.rows()])
    return distinct(rows, np.concatenate([one.values, other.values]), len(one))


def load_scenario(path: Path) -> Scenario:
    """The scenario of one file.

    Raises:
        ConfigError: Not TOML, an unknown key or kind (with the nearest known one), or stages that can't
            work together.
    """
    return read_scenario(load_toml(path), str(path))


def load_scenarios(folder: Path) -> dict[str, Scenario]:
    """Every ``*.toml`` of a folder, by scenario name, with their fallbacks checked.

    Raises:
        ConfigError: As `load_scenario`; also a name given twice, a fallback that does not exist, a circle
            of fallbacks.
    """
    found: dict[str, Scenario] = {}
    for path in sorted(folder.glob("*.toml")):
        scenario = load_scenario(path)
        if scenario.scenario in found:
            raise ConfigError(f"{path}: scenario {scenario.scenario!r} stands in another file too")
        found[scenario.scenario] = scenario
    for name in found:
        list(chain(name, found))
    return found


def chain(name: str, scenarios: Mapping[str, Scenario]) -> Iterator[str]:
    """A scenario's name and those of its fallbacks, one after another.

    Raises:
        ConfigError: A fallback does not exist or comes round again.
    """
    seen: list[str] = []
    here: str | None = name
    while here is not None:
        if here not in scenarios:
            raise ConfigError(
                f"scenario {seen[-1]!r}: fallback {here!r} does not exist{nearest(here, scenarios)}"
                if seen
                else f"unknown scenario {here!r}{nearest(here, scenarios)}"
            )
        if here in seen:
            raise ConfigError(
                f"scenario {name!r}: the fallbacks {' → '.join([*seen, here])} go in a circle"
            )
        seen.append(here)
        yield here
        here = scenarios[here].fallback


def read_scenario(raw: Mapping[str, Any], where: str) -> Scenario:
    """A scenario from plain data: a TOML file or a bundle's manifest; `where` names it in errors.

    Raises:
        ConfigError: As `load_scenario`.
    """
    stages = raw.get("stages")
    if isinstance(stages, list | tuple):
        raw = {**raw, "stages": [_wrapped(stage) for stage in stages]}
    try:
        scenario = fill(Scenario, raw, where, KINDS)
    except ConfigError as problem:
        # The file knows nothing of the step that was put around its table.
        raise ConfigError(str(problem).replace("].stage", "]")) from problem
    _check(scenario, where)
    return scenario


def _wrapped(raw: object) -> object:
    """The table of a stage with the runner's keys moved into a `Step` around it; members likewise."""
    if not isinstance(raw, Mapping) or raw.get("kind") == "step":
        return raw
    inner = {key: value for key, value in raw.items() if key not in RUNNER_KEYS}
    if isinstance(inner.get("of"), list | tuple):
        inner["of"] = [_wrapped(member) for member in inner["of"]]
    beside = {key: raw[key] for key in RUNNER_KEYS if key in raw}
    return {"kind": "step", "stage": inner, **beside} if beside else inner


def _check(scenario: Scenario, where: str) -> None:
    """Passes if the parts of the file agree with each other."""
    steps = scenario.steps
    if not steps:
        raise ConfigError(f"{where}: 'stages' is empty; begin with a model or a union of models")
    both = sorted(scenario.positive.keys() & scenario.negative.keys())
    if both:
        raise ConfigError(f"{where}: action {both[0]!r} is both positive and negative")
    if IMPRESSION in {**scenario.positive, **scenario.negative}:
        raise ConfigError(
            f"{where}: {IMPRESSION!r} is no act of a user, so it counts neither for nor against an item"
        )
    if scenario.where is not None:
        try:
            parse(scenario.where)
        except FilterError as problem:
            raise ConfigError(f"{where}: where: {problem}") from problem
    _check_order(steps, where)
    names: list[str] = []
    for step in _flat(steps):
        if step.called in names:
            raise ConfigError(
                f"{where}: two stages are called {step.called!r}; give one of them another 'name'"
            )
        if not step.called or "/" in step.called:
            raise ConfigError(
                f"{where}: a stage can't be called {step.called!r}: '/' parts names in a bundle"
            )
        names.append(step.called)


def _check_order(steps: Sequence[Step], where: str) -> None:
    first = kind_of(steps[0].stage)
    if not _adds(first):
        raise ConfigError(
            f"{where}: stages[0] is {first!r}, which has no candidates to work on; begin with a model"
        )
    for place, step in enumerate(steps):
        kind = kind_of(step.stage)
        if kind == "explore" and place < len(steps) - 1:
            after = kind_of(steps[place + 1].stage)
            raise ConfigError(
                f"{where}: stages[{place}] explores and {after!r} comes after it; put 'explore' last, "
                "or its propensities are untrue"
            )
    for step in _flat(steps):
        if step.take is not None and not _adds(kind_of(step.stage)):
            raise ConfigError(f"{where}: {step.called!r} brings no candidates, so it takes no 'take'")


def _adds(kind: str) -> bool:
    return kind in MODELS or kind in RETRIEVERS


def _flat(steps: Sequence[Step]) -> Iterator[Step]:
    for step in steps:
        yield step
        yield from _flat(getattr(step.stage, "steps", ()))
