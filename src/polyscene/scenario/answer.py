"""An ask answered: the scenario, then its fallbacks until the slate is full."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import uuid4

import msgspec
import numpy as np

from polyscene.core.arrays import Codes, Ragged
from polyscene.core.contracts import Explains
from polyscene.core.errors import FilterError, NotFoundError, nearest
from polyscene.core.queries import Queries
from polyscene.core.seeds import seed_of
from polyscene.core.slates import Slates
from polyscene.retrieve.step import FAILURES
from polyscene.scenario.ask import Answer, Ask, Shown, Sight
from polyscene.scenario.file import Scenario
from polyscene.scenario.resolve import Resolver
from polyscene.scenario.run import Pipeline, Result, run
from polyscene.scenario.trace import trace_of


@dataclass(frozen=True, slots=True)
class Served:
    """A scenario with the pipeline of its current bundle."""

    scenario: Scenario
    pipeline: Pipeline
    bundle: str
    resolver: Resolver = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "resolver", Resolver(self.scenario))


@dataclass(frozen=True, slots=True)
class Answered:
    """The answer with what an exposure logs beside it.

    `skipped`: the skip mask, ``"home"`` for a scenario that failed and ``"home/sasrec"`` for a step;
    given to `recommend` again, it makes a replay leave out the same.
    """

    answer: Answer
    seed: int
    skipped: list[str]
    trace: dict[str, Any]


def recommend(
    ask: Ask,
    served: Mapping[str, Served],
    sight: Sight,
    *,
    at: int,
    skip: Collection[str] | None = None,
    trace: bool = True,
) -> Answered:
    """The answer to one ask.

    Args:
        ask: What the client wants.
        served: Every scenario that has a bundle, by name.
        sight: The live world, or the world as it was, for a replay.
        at: UTC ms; the only clock that stages see.
        skip: The logged mask of a replay: exactly that is left out. None: optional steps may be left
            out to keep the scenario's budget.
        trace: Also tell what happened to every candidate; without it the answer is the same and quicker.

    Raises:
        NotFoundError: No such scenario, or it has no bundle yet.
        InputError: A wrong filter or context. Whatever else goes wrong degrades the answer instead.
    """
    if ask.scenario not in served:
        raise NotFoundError(
            f"recommend: scenario {ask.scenario!r} is not served{nearest(ask.scenario, served)}"
        )
    ask = msgspec.structs.replace(ask, request_id=ask.request_id or uuid4().hex)
    plate = _Plate(ask, sight, at, skip, trace, wanted=ask.k or served[ask.scenario].scenario.slate)
    name: str | None = ask.scenario
    tried: set[str] = set()
    while name is not None and name in served and name not in tried and len(plate.shown) < plate.wanted:
        if tried:
            plate.notes.append(f"{len(plate.shown)} of {plate.wanted} items so far; {name!r} fills up")
        tried.add(name)
        plate.fill(served[name])
        name = served[name].scenario.fallback
    return plate.answered(served[ask.scenario].bundle)


@dataclass(slots=True)
class _Plate:
    """The slate as it fills up, and what there is to say about it."""

    ask: Ask
    sight: Sight
    at: int
    skip: Collection[str] | None
    trace: bool
    wanted: int
    shown: list[Shown] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    traces: list[dict[str, Any]] = field(default_factory=list)

    def fill(self, here: Served) -> None:
        """Adds what one scenario has for the free places; a scenario that fails is noted."""
        name = here.scenario.scenario
        if self.skip is not None and name in self.skip:
            self._failed(name, "skip mask")
            return
        try:
            queries = self._queries(here)
        except FilterError as problem:
            # A wrong filter is the client's to mend, a wrong rule in the scenario is not.
            if self.ask.filter:
                raise
            self._failed(name, str(problem))
            return
        mask = [each.removeprefix(f"{name}/") for each in self.skip or () if each.startswith(f"{name}/")]
        try:
            result = run(here.pipeline, queries, skip=mask, budget=self.skip is None, keep=self.trace)
            because = _because(here.pipeline, queries, result.slates)
        except FAILURES as problem:
            self._failed(name, str(problem))
            return
        self._take(here, queries, result, because)

    def _queries(self, here: Served) -> Queries:
        queries = here.resolver.resolve(self.ask, self.ask.request_id or "", self.sight, at=self.at)
        if not self.shown:
            return queries
        on_page = self.sight.codes.codes([each.id for each in self.shown])
        return replace(
            queries,
            wanted=np.array([self.wanted - len(self.shown)], np.int32),
            exclude=Ragged.of([np.union1d(queries.exclude.values, on_page)]),
        )

    def _take(self, here: Served, queries: Queries, result: Result, because: Codes) -> None:
        name, slates, ids = here.scenario.scenario, result.slates, self.sight.codes
        sources = _sources(slates)
        for place, code in enumerate(slates.items.tolist()):
            self.shown.append(
                Shown(
                    id=ids.id(code),
                    score=float(slates.scores[place]),
                    position=len(self.shown),
                    sources=sources[place],
                    propensity=float(slates.columns["propensity"][place]),
                    because=ids.id(int(because[place])) if because[place] >= 0 else None,
                )
            )
        self.skipped += [f"{name}/{step}" for step in result.skipped]
        self.notes += [
            f"{name}/{each.name}: {each.skipped}" for each in result.watch.records.values() if each.skipped
        ]
        if self.trace:
            self.traces.append(trace_of(here.pipeline, queries, result, ids))

    def _failed(self, name: str, reason: str) -> None:
        self.skipped.append(name)
        self.notes.append(f"{name}: {reason}")

    def answered(self, bundle: str) -> Answered:
        """The slate as an answer."""
        request_id = self.ask.request_id or ""
        answer = Answer(
            request_id=request_id,
            scenario=self.ask.scenario,
            bundle=bundle,
            items=self.shown,
            degraded=bool(self.notes),
            notes=self.notes,
        )
        trace = {"chain": self.traces, "notes": self.notes}
        return Answered(answer, seed_of(request_id), self.skipped, trace)


def _sources(slates: Slates) -> list[list[str]]:
    """Names of the sources that brought each item, best rank first."""
    ranks = {
        name[5:]: column for name, column in sorted(slates.columns.items()) if name.startswith("rank:")
    }
    found: list[list[str]] = []
    for place in range(len(slates.items)):
        brought = [(float(column[place]), name) for name, column in ranks.items()]
        found.append([name for rank, name in sorted(brought) if rank == rank])
    return found


def _because(pipeline: Pipeline, queries: Queries, slates: Slates) -> Codes:
    """(N,) the history item that spoke for each, by the first source that brought it and can tell."""
    found = np.full(len(slates.items), -1, np.int32)
    for source in pipeline.sources():
        ranks = slates.columns.get(f"rank:{source.name}")
        if ranks is not None and isinstance(source.part, Explains):
            told = source.part.because(queries, slates)
            found = np.where((found < 0) & ~np.isnan(ranks), told, found)
    return found
