"""What every trial stands on: the data, split once, and the scenario that the model is to serve in."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import msgspec
import numpy as np

from polyscene.core.config import Config, load_toml, read
from polyscene.core.contracts import Data, Part, Run, Stage, StillView
from polyscene.core.errors import ConfigError, NotFoundError, nearest
from polyscene.core.seeds import uniform
from polyscene.dataset.newest import asked_more
from polyscene.dataset.split import Protocol, Split, split
from polyscene.dataset.world import World
from polyscene.evaluate.metrics import accuracy_at
from polyscene.evaluate.ranking import rank
from polyscene.evaluate.validation import validation
from polyscene.jobs.compare import request_ms
from polyscene.jobs.evaluate import EvaluateRequest, data_of
from polyscene.jobs.exam import Learner, Scene
from polyscene.jobs.workspace import Workspace
from polyscene.models.search import SPACES
from polyscene.models.table import KINDS
from polyscene.observe.timing import Stopwatch
from polyscene.scenario.file import RUNNER_KEYS, read_scenario

K = 10
METRIC = f"ndcg@{K}"
QUERIES = 5_000
"""Validation queries that are enough: with fewer, the best of many trials is the luckiest."""
SCORED = 10_000
"""Most validation queries behind a score, so that a trial on many users does not spend its time ranking."""
RUNG_USERS = 0.25
"""Share of the users that an early rung learns from."""


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """What is tuned for: a data set under a protocol, or a stage of a workspace's scenario as of `at`."""

    data: str = ""
    protocol: Protocol = "loo"
    mapping: dict[str, str] = {}
    rules: dict[str, Any] = {}
    root: str = ""
    scenario: str = ""
    stage: str = ""
    at: int = 0
    seed: int = 0


class Facts(msgspec.Struct, frozen=True, kw_only=True, tag="facts"):
    """What the data is, so that two studies are known to be about the same."""

    source: str
    protocol: str
    digest: str
    users: int
    items: int
    events: int
    queries: int


class Score(msgspec.Struct, frozen=True, kw_only=True, tag="score"):
    """How good a model is on the validation part, and what it costs."""

    score: float
    fit_cpu_s: float
    request_ms: float


class Mark(msgspec.Struct, frozen=True, kw_only=True, tag="mark"):
    """`METRIC` of each query of the test part, and the CPU seconds of the fit on all the rest."""

    values: list[float]
    fit_cpu_s: float


@dataclass(frozen=True, slots=True)
class Ground:
    """The parts of the data, and how a model's config becomes what is fitted on them."""

    source: str
    parts: Split
    seed: int
    learner: Callable[[Config], Learner]
    watched: bool
    """Whether a training may be looked at on its way; a scenario's stages are trained more than once."""

    @property
    def facts(self) -> Facts:
        """What the data is."""
        data = self.parts.fit_all
        return Facts(
            source=self.source,
            protocol=self.parts.protocol,
            digest=self.parts.digest,
            users=len(data.users),
            items=data.size,
            events=len(data.histories["item"]),
            queries=len(self.parts.test.queries),
        )

    def rung(self, config: Config) -> float:
        """The score of what learned from the share `RUNG_USERS` of the users; they are drawn once."""
        data = self.parts.train
        chance = uniform(np.full(len(data.users), self.seed, np.uint64), data.users.astype(np.int64))
        rows = np.sort(np.argsort(chance, kind="stable")[: max(1, int(len(chance) * RUNG_USERS))])
        few = replace(data, users=data.users[rows], histories=data.histories.take(rows))
        return self._score(self.learner(config).fit(few, self._run(few)))

    def score(self, config: Config, watch: Callable[[float], None]) -> Score:
        """The config's score; `watch` hears that of each validation on the way, where there are any."""
        data, quick = self.parts.train, validation(self.parts.valid)
        seen = 0

        def validate(part: Part) -> float:
            nonlocal seen
            watch(quick(part))
            seen += 1
            # A number that only rises: the training goes to its end and keeps the last weights, as it will
            # when it learns from everything and nobody can tell it to stop.
            return float(seen)

        with Stopwatch() as watch_s:
            stage = self.learner(config).fit(
                data, replace(self._run(data), validate=validate if self.watched else None)
            )
        return Score(
            score=self._score(stage),
            fit_cpu_s=watch_s.cost.cpu_seconds,
            request_ms=request_ms(stage, self.parts.valid.queries),
        )

    def mark(self, config: Config) -> Mark:
        """The config fitted on all but the test part and asked that."""
        data = self.parts.fit_all
        with Stopwatch() as watch:
            stage = self.learner(config).fit(data, self._run(data))
        values = accuracy_at(rank(stage, self.parts.test, k=K), K)[METRIC]
        return Mark(values=values.tolist(), fit_cpu_s=watch.cost.cpu_seconds)

    def _score(self, stage: Stage) -> float:
        return validation(self.parts.valid, SCORED)(cast("Part", stage))

    def _run(self, data: Data) -> Run:
        return Run(seed=self.seed, view=StillView.of(data), threads=1)


def ground_of(ask: Ask) -> Ground:
    """What `ask` names, read and split.

    Raises:
        ConfigError: The scenario has no such stage.
        DataError: The data can't be read or split so.
        NotFoundError: No such workspace or scenario.
    """
    if not ask.scenario:
        request = EvaluateRequest(data=ask.data, mapping=ask.mapping, rules=ask.rules)
        source, encoded = data_of(request)
        parts = split(encoded.data, ask.protocol, seed=ask.seed, ids=encoded)
        if ask.protocol == "loo":
            parts = _asked_more(parts, ask.seed)
        return Ground(source, parts, ask.seed, lambda config: cast("Learner", config), watched=True)
    raw = scenario_of(Path(ask.root), ask.scenario)
    seen = read_scenario(raw, ask.scenario).seen
    with Workspace.open(Path(ask.root)).reader() as log:
        data = World.open(log).data(ask.at)
    parts = split(data, "loo", seed=ask.seed, repeats="drop" if seen == "drop" else "keep")

    def learner(config: Config) -> Learner:
        table = msgspec.to_builtins(config)
        return Scene(read_scenario(with_stage(raw, ask.stage, table), ask.scenario))

    parts = _asked_more(parts, ask.seed)
    return Ground(f"scenario {ask.scenario}", parts, ask.seed, learner, watched=False)


def _asked_more(parts: Split, seed: int) -> Split:
    """The parts with more validation queries, where there are so few that luck would choose."""
    train, valid = asked_more(parts.train, parts.valid, QUERIES, np.random.default_rng(seed))
    return replace(parts, train=train, valid=valid)


def scenario_of(root: Path, name: str) -> dict[str, Any]:
    """The tables of a workspace's scenario file.

    Raises:
        NotFoundError: There is no such scenario.
    """
    known = {raw.get("scenario"): raw for raw in map(load_toml, (root / "scenarios").glob("*.toml"))}
    if name not in known:
        raise NotFoundError(f"tune: no scenario {name!r}{nearest(name, map(str, known))}")
    return known[name]


def sources_of(raw: Mapping[str, Any]) -> list[str]:
    """What the stages and sources of a scenario's tables that can be tuned are called, first to last."""
    return [str(table.get("name", table["kind"])) for table in _tables(raw) if table.get("kind") in SPACES]


def with_stage(raw: Mapping[str, Any], stage: str, table: Mapping[str, Any]) -> dict[str, Any]:
    """The scenario with another model where the one called `stage` stood; the runner's keys stay."""

    def turned(one: Mapping[str, Any]) -> dict[str, Any]:
        found = dict(one)
        if isinstance(found.get("of"), list):
            found["of"] = [turned(each) for each in found["of"]]
        if found.get("name", found.get("kind")) != stage:
            return found
        kept = {key: found[key] for key in RUNNER_KEYS if key in found}
        # Another source may be of the new kind too, and no two may have one name.
        name = {} if "name" in kept or table["kind"] == found["kind"] else {"name": "tuned"}
        return {**table, **kept, **name}

    return {**raw, "stages": [turned(each) for each in raw["stages"]]}


def start_of(ask: Ask, kind: str) -> dict[str, Any]:
    """What a search of `kind` begins with: the settings of the stage if it is of that kind, else none."""
    if not ask.scenario:
        return {}
    tables = _tables(scenario_of(Path(ask.root), ask.scenario))
    table = next((each for each in tables if each.get("name", each["kind"]) == ask.stage), None)
    if table is None:
        raise ConfigError(f"tune: scenario {ask.scenario!r} has no stage {ask.stage!r}")
    mine = {key: value for key, value in table.items() if key not in (*RUNNER_KEYS, "kind")}
    return mine if table["kind"] == kind else {}


def config_of(kind: str, settings: Mapping[str, Any]) -> Config:
    """A model's config with these settings. Raises ConfigError where one does not fit."""
    return read(KINDS, {"kind": kind, **settings}, f"tune {kind}")


def _tables(raw: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    found = []
    for stage in raw.get("stages", ()):
        found += [each for each in (stage, *stage.get("of", ())) if "kind" in each]
    return found
