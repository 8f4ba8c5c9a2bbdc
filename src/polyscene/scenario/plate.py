"""The slate of one ask as it fills up: scenario after scenario, with what there is to say about it."""

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
import numpy as np

from polyscene.core.arrays import Codes, Ragged
from polyscene.core.contracts import Explains
from polyscene.core.errors import FilterError, InputError, StoreError
from polyscene.core.queries import Queries
from polyscene.core.slates import Slates
from polyscene.retrieve.step import FAILURES
from polyscene.scenario.ask import Ask, Shown, Sight
from polyscene.scenario.deadline import within
from polyscene.scenario.file import Scenario
from polyscene.scenario.resolve import Resolver
from polyscene.scenario.run import Pipeline, Result, run
from polyscene.scenario.trace import trace_of

PATIENCE = 2.0
"""Times its budget that a scenario may take before the fallback answers instead."""
HISTORY = "(history)"
"""In a skip mask, beside the steps: the user's history could not be read."""


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
class Course:
    """What one scenario made of one ask. `because` (N,) codes beside the slate; `blind` why, if it was."""

    queries: Queries
    result: Result
    because: Codes
    blind: str = ""


@dataclass(slots=True)
class Plate:
    """The slate so far. `notes` say what degraded it, `reasons` why it is as it is all the same.

    `skip` None: live; otherwise the mask of a replay. `blind`: the store failed, so later scenarios don't
    ask it for the user.
    """

    ask: Ask
    sight: Sight
    at: int
    skip: Collection[str] | None
    trace: bool
    wanted: int
    shown: list[Shown] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    traces: list[dict[str, Any]] = field(default_factory=list)
    blind: bool = False

    @property
    def full(self) -> bool:
        """Whether nothing more is wanted."""
        return len(self.shown) >= self.wanted

    def fill(self, here: Served, *, last: bool) -> None:
        """Adds what one scenario has for the free places; one that fails or takes too long is noted.

        Args:
            here: The scenario.
            last: No other comes after it, so it is waited for however long it takes.

        Raises:
            InputError: A wrong filter or context of the client's.
        """
        name = here.scenario.scenario
        if self.skip is not None and name in self.skip:
            self.failed(name, "skip mask")
            return
        resolved: list[Queries] = []
        budget_ms = None if last or self.skip is not None else here.scenario.budget_ms
        try:
            if budget_ms is None:
                course = self._course(here, resolved)
            else:
                course = within(PATIENCE * budget_ms / 1e3, lambda: self._course(here, resolved))
        except TimeoutError:
            self._late(here, PATIENCE * (budget_ms or 0), resolved=bool(resolved))
        except FAILURES as problem:
            # A wrong filter or context is the client's to mend, a wrong rule in the scenario is not.
            own = isinstance(problem, FilterError) and not self.ask.filter
            if isinstance(problem, InputError) and not resolved and not own:
                raise
            self.failed(name, str(problem))
        else:
            self.take(here, course)

    def _course(self, here: Served, resolved: list[Queries]) -> Course:
        """May run in a thread that was given up, so it tells what it found and changes nothing."""
        name = here.scenario.scenario
        queries, blind = self.query(here)
        resolved.append(queries)
        mask = [each.removeprefix(f"{name}/") for each in self.skip or () if each.startswith(f"{name}/")]
        result = run(here.pipeline, queries, skip=mask, budget=self.skip is None, keep=self.trace)
        return Course(queries, result, because_of(here.pipeline, queries, result.slates), blind)

    def query(self, here: Served) -> tuple[Queries, str]:
        """The ask as a query (B = 1) of a scenario, and why it knows nothing of the user, if so."""
        masked = f"{here.scenario.scenario}/{HISTORY}" in (self.skip or ())
        blind = "skip mask" if masked else "as before" if self.blind else ""
        if not blind:
            try:
                return self._resolve(here, self.ask), ""
            except StoreError as problem:
                blind = str(problem)
        return self._resolve(here, msgspec.structs.replace(self.ask, user=None)), blind

    def _resolve(self, here: Served, ask: Ask) -> Queries:
        queries = here.resolver.resolve(ask, ask.request_id or "", self.sight, at=self.at)
        if not self.shown:
            return queries
        on_page = self.sight.codes.codes([each.id for each in self.shown])
        return replace(
            queries,
            wanted=np.array([self.wanted - len(self.shown)], np.int32),
            exclude=Ragged.of([np.union1d(queries.exclude.values, on_page)]),
        )

    def take(self, here: Served, course: Course) -> None:
        """Adds a scenario's slate, and notes what went wrong on the way."""
        name, slates, ids = here.scenario.scenario, course.result.slates, self.sight.codes
        sources = _sources(slates)
        for place, code in enumerate(slates.items.tolist()):
            because = int(course.because[place])
            self.shown.append(
                Shown(
                    id=ids.id(code),
                    score=float(slates.scores[place]),
                    position=len(self.shown),
                    sources=sources[place],
                    propensity=float(slates.columns["propensity"][place]),
                    because=ids.id(because) if because >= 0 else None,
                )
            )
        if course.blind:
            self._blinded(name, course.blind)
        self.skipped += [f"{name}/{step}" for step in course.result.skipped]
        records = course.result.watch.records.values()
        self.notes += [f"{name}/{each.name}: {each.skipped}" for each in records if each.skipped]
        if self.trace:
            self.traces.append(trace_of(here.pipeline, course.queries, course.result, ids))
        self.reasons = self._why(course.queries)

    def failed(self, name: str, reason: str) -> None:
        """Notes that a scenario had no part in the slate."""
        self.skipped.append(name)
        self.notes.append(f"{name}: {reason}")

    def _late(self, here: Served, limit_ms: float, *, resolved: bool) -> None:
        self.failed(here.scenario.scenario, f"no answer after {limit_ms:g} ms; the fallback answers")
        if resolved:
            here.pipeline.costs.late(limit_ms)
        else:
            self.blind = True

    def _blinded(self, name: str, why: str) -> None:
        self.skipped.append(f"{name}/{HISTORY}")
        if not self.blind or why != "as before":
            self.notes.append(f"{name}: the user's history could not be read: {why}")
        else:
            self.notes.append(f"{name}: answers without the user's history")
        self.blind = True

    def _why(self, queries: Queries) -> list[str]:
        """What a person may wonder about: who is not known, and why there is no more."""
        found = []
        if self.ask.user is not None and queries.users[0] < 0 and not self.blind:
            found.append(f"user {self.ask.user!r} is not known yet; answered like any newcomer")
        anchors = queries.context.get("anchors")
        if self.ask.context.get("anchors") and isinstance(anchors, Ragged) and not len(anchors.values):
            found.append("none of the anchors is a known item")
        if self.full:
            return found
        allowed = np.flatnonzero(queries.allowed.of(0))
        here = self.sight.codes.codes([each.id for each in self.shown])
        left = len(np.setdiff1d(allowed, np.union1d(queries.exclude.values, here)))
        if not self.sight.catalogue.active.any():
            found.append("the catalogue has no items; put some with PUT /v1/items")
        elif not len(allowed):
            found.append("the rules and the filter let no item through")
        elif not left:
            found.append(f"all {len(allowed)} items that the rules let through are seen, excluded or shown")
        else:
            found.append(f"the stages found {len(self.shown)} of {self.wanted} items")
        return found


def because_of(pipeline: Pipeline, queries: Queries, slates: Slates) -> Codes:
    """(N,) the history item that spoke for each, by the first source that brought it and can tell."""
    found = np.full(len(slates.items), -1, np.int32)
    for source in pipeline.sources():
        ranks = slates.columns.get(f"rank:{source.name}")
        if ranks is not None and isinstance(source.part, Explains):
            told = source.part.because(queries, slates)
            found = np.where((found < 0) & ~np.isnan(ranks), told, found)
    return found


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
