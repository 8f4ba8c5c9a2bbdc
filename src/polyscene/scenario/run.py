"""The runner: folds the stages of a pipeline under a memo, a budget and a skip mask."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from polyscene.core.answer import BLOCK_CELLS
from polyscene.core.contracts import Effect, State
from polyscene.core.memo import memo
from polyscene.core.queries import Queries
from polyscene.core.slates import Slates, append, concat
from polyscene.core.states import pack
from polyscene.retrieve.step import Costs, StepPart, Watch, watching
from polyscene.retrieve.union import UnionPart


@dataclass(frozen=True, slots=True)
class Pipeline:
    """The fitted stages of one scenario; itself a part, so it can be saved, evaluated and nested.

    `costs` is not knowledge of the part but what the runner measured lately; it is not saved.
    """

    name: str
    parts: tuple[StepPart, ...]
    budget_ms: float | None = None
    costs: Costs = field(default_factory=Costs, compare=False)
    effect: ClassVar[frozenset[Effect]] = frozenset({Effect.ADDS})

    def __call__(self, queries: Queries, slates: Slates) -> Slates:
        """The scenario's answer, at most ``queries.wanted`` items each; no budget applies."""
        return append(slates, run(self, queries).slates)

    def state(self) -> State:
        """Every stage's, under its name."""
        return pack({part.name: part for part in self.parts})

    def sources(self) -> Iterator[StepPart]:
        """The steps that bring candidates, members of unions one by one."""
        for part in self.parts:
            if isinstance(part.part, UnionPart):
                yield from part.part.members
            elif Effect.ADDS in part.effect:
                yield part


@dataclass(frozen=True, slots=True)
class Result:
    """Slates cut to what was wanted, with ``propensity``, and what the watch saw on the way."""

    slates: Slates
    watch: Watch

    @property
    def skipped(self) -> list[str]:
        """Names of the steps that were left out: the mask that a replay applies."""
        return sorted(record.name for record in self.watch.records.values() if record.skipped)


def run(
    pipeline: Pipeline,
    queries: Queries,
    *,
    skip: Collection[str] = (),
    budget: bool = False,
    keep: bool = False,
) -> Result:
    """The pipeline's answer to B queries, in blocks so that memory stays bounded.

    Args:
        pipeline: What to run.
        queries: Whom for.
        skip: Steps to leave out whatever happens: the mask of a logged request.
        budget: Leave out optional steps that no longer fit the pipeline's budget.
        keep: Keep what every step gave, for a trace; meant for one query.

    Raises:
        PolysceneError: and the other `FAILURES`, when a stage that is not optional fails.
    """
    watch = Watch(
        skip=frozenset(skip),
        budget_ms=pipeline.budget_ms if budget else None,
        costs=pipeline.costs,
        keep=keep,
    )
    step = max(1, BLOCK_CELLS // max(1, queries.allowed.size))
    found = [Slates.empty(0)] if not len(queries) else []
    with watching(watch):
        for start in range(0, len(queries), step):
            rows = np.arange(start, min(start + step, len(queries)))
            block = queries if len(rows) == len(queries) else queries.take(rows)
            found.append(_cut(fold(pipeline.parts, block), block))
    return Result(concat(found) if len(found) > 1 else found[0], watch)


def fold(parts: tuple[StepPart, ...], queries: Queries) -> Slates:
    """What the stages make of an empty slate, one after another."""
    slates = Slates.empty(len(queries))
    with memo():
        for part in parts:
            slates = part(queries, slates)
    return slates


def _cut(slates: Slates, queries: Queries) -> Slates:
    """The places that are shown; where nothing was explored, each was certain."""
    shown = slates.head(queries.wanted)
    if "propensity" in shown.columns:
        return shown
    return shown.with_column("propensity", np.ones(len(shown.items), np.float32))
