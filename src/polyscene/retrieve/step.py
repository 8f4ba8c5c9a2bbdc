"""One stage or one member of a union: the config, and what the runner may ask of it besides."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from threading import get_ident
from time import perf_counter
from typing import Annotated, Any, Literal, cast

import msgspec
import numpy as np

from polyscene.core.arrays import Scores
from polyscene.core.config import Config, kind_of
from polyscene.core.contracts import Data, Effect, Part, Run, ScoresAll, State, Trainable
from polyscene.core.errors import PolysceneError
from polyscene.core.memo import remember
from polyscene.core.queries import Queries
from polyscene.core.slates import Slates, append, mask_block, top
from polyscene.observe.traces import span

FAILURES = (PolysceneError, ArithmeticError, LookupError, OSError, RuntimeError, TypeError, ValueError)
"""What a stage may fail with and be skipped or replaced; anything else is not a failure of a stage."""

SMOOTH = 0.2
"""Weight of the newest measurement in a stage's cost."""


class Step(Config, frozen=True, kw_only=True, tag="step"):
    """A stage with the runner's keys beside it.

    A scenario file writes them into the stage's own table:
    ``{ kind = "ease", take = 100, name = "taste" }``.

    `name` is how columns, traces and skip masks call it (default: its kind). `take` is how many
    candidates it brings (default: what the query wants). ``on_error = "skip"`` makes it optional: the
    runner goes on without it when it fails or no longer fits the budget.

    Source: none; a wrapper.
    """

    stage: Config
    name: str = ""
    take: Annotated[int, msgspec.Meta(ge=1)] | None = None
    on_error: Literal["fail", "skip"] = "fail"

    @property
    def called(self) -> str:
        """The name, or the kind where none was given."""
        return self.name or kind_of(self.stage)

    def fit(self, data: Data, run: Run, warm: "StepPart | None" = None) -> "StepPart":
        """The stage, fitted."""
        return StepPart(self, trainable(self.stage).fit(data, run, warm.part if warm else None))

    def load(self, state: State, run: Run) -> "StepPart":
        """The stage, loaded; the step itself knows nothing."""
        return StepPart(self, trainable(self.stage).load(state, run))


def step_of(config: Config) -> Step:
    """The config as a step; one that is a step already stays."""
    return config if isinstance(config, Step) else Step(stage=config)


def trainable(config: Config) -> Trainable[Part]:
    """The config by its other name: every config in a table of kinds is an untrained part."""
    return cast("Trainable[Part]", config)


class Costs:
    """Milliseconds per query that each stage has cost lately.

    Starts from 0 and moves by a fifth, so that one slow first call does not switch a stage off; each
    skip lowers the estimate, so that a stage gets another chance.
    """

    def __init__(self) -> None:
        self.ms: dict[str, float] = {}
        self.at_work: dict[int, tuple[str, float]] = {}
        """By thread: the stage it is in, and since when."""

    def late(self, ms: float) -> None:
        """Stages that hang for at least half of `ms` now cost that much, so the next request skips them."""
        for name, since in list(self.at_work.values()):
            if (perf_counter() - since) * 1e3 >= ms / 2:
                self.ms[name] = max(self.ms.get(name, 0.0), ms)

    def saw(self, name: str, ms: float) -> None:
        """One more measurement."""
        before = self.ms.get(name, 0.0)
        self.ms[name] = before + SMOOTH * (ms - before)

    def skipped(self, name: str) -> None:
        """The stage was left out once."""
        self.ms[name] = self.ms.get(name, 0.0) * (1 - SMOOTH / 2)


@dataclass(slots=True)
class Record:
    """What one stage did: candidates before and after, time, and why it was skipped, if it was."""

    name: str
    before: int = 0
    after: int = 0
    ms: float = 0.0
    skipped: str = ""
    slates: Slates | None = None


@dataclass(slots=True)
class Watch:
    """What the runner asks of the steps while they answer, and what they tell it.

    `skip`: names left out whatever happens (the logged mask of a replay). `budget_ms` None: no budget,
    so a replay or an evaluation leaves out nothing by itself.
    """

    skip: frozenset[str] = frozenset()
    budget_ms: float | None = None
    costs: Costs = field(default_factory=Costs)
    keep: bool = False
    records: dict[str, Record] = field(default_factory=dict)
    started: float = field(default_factory=perf_counter)

    def reason_to_skip(self, name: str, on_error: str, *, last_resort: bool) -> str:
        """Why the step must not run now; empty if it may."""
        if name in self.skip:
            return "skip mask"
        if self.budget_ms is None or on_error != "skip" or last_resort:
            return ""
        spent = (perf_counter() - self.started) * 1e3
        cost = self.costs.ms.get(name, 0.0)
        if spent + cost <= self.budget_ms:
            return ""
        self.costs.skipped(name)
        return f"budget: {spent:.1f} ms of {self.budget_ms:g} spent, it costs {cost:.1f}"

    def saw(self, name: str, before: Slates, after: Slates, ms: float, skipped: str) -> None:
        """Takes note of one call; the blocks of one batch add up."""
        record = self.records.setdefault(name, Record(name))
        record.before += len(before.items)
        record.after += len(after.items)
        record.ms += ms
        record.skipped = skipped or record.skipped
        if self.keep:
            record.slates = after
        if not skipped and len(before):
            self.costs.saw(name, ms / len(before))


_open: ContextVar[Watch | None] = ContextVar("polyscene_watch", default=None)


@contextmanager
def watching(watch: Watch) -> Iterator[Watch]:
    """While open, every step reports to this watch."""
    token = _open.set(watch)
    try:
        yield watch
    finally:
        _open.reset(token)


class StepPart:
    """A fitted step: calls its part, leaves it out where it may, and reports."""

    def __init__(self, step: Step, part: Part) -> None:
        self.step = step
        self.part = part
        self.name = step.called
        self.effect = part.effect
        self.adds = Effect.ADDS in part.effect
        self._scorer = part if isinstance(part, ScoresAll) else None

    def __call__(self, queries: Queries, slates: Slates) -> Slates:
        """The part's slates; `slates` unchanged where it is skipped."""
        return self.attempt(queries, slates, last_resort=self.adds and not len(slates.items))

    def attempt(self, queries: Queries, slates: Slates, *, last_resort: bool) -> Slates:
        """As a call; `last_resort` keeps the budget from leaving out the only source of candidates.

        Raises:
            PolysceneError: and the other `FAILURES`, when the part fails and is not optional.
        """
        watch = _open.get() or Watch()
        started = perf_counter()
        found, reason = slates, watch.reason_to_skip(self.name, self.step.on_error, last_resort=last_resort)
        if not reason:
            watch.costs.at_work[get_ident()] = self.name, started
            try:
                with span(self.name):
                    found = self._answer(queries, slates)
            except FAILURES as problem:
                if self.step.on_error != "skip":
                    raise
                reason = f"failed: {problem}"
            finally:
                watch.costs.at_work.pop(get_ident(), None)
        watch.saw(self.name, slates, found, (perf_counter() - started) * 1e3, reason)
        return found

    def scores_of(self, queries: Queries, slates: Slates) -> Scores | None:
        """(N,) this part's score of every candidate, NaN where it has none; None if it can't score all."""
        if self._scorer is None:
            return None
        scores: Scores = self._score_all(self._scorer, queries)[slates.rows(), slates.items]
        return np.where(scores > -np.inf, scores, np.float32(np.nan))

    def _answer(self, queries: Queries, slates: Slates) -> Slates:
        found = self._signed(self._find(queries)) if self.adds else self.part(queries, slates)
        self._numbers(found.scores)
        return append(slates, found) if self.adds else found

    def _find(self, queries: Queries) -> Slates:
        take = self.step.take
        if self._scorer is not None:
            scores_BI = mask_block(self._score_all(self._scorer, queries).copy(), queries)
            counts = take or queries.wanted
            return top(scores_BI, int(np.max(counts, initial=0))).head(counts)
        found = self.part(queries.wanting(take) if take else queries, Slates.empty(len(queries)))
        return found if take is None else found.head(take)

    def _score_all(self, part: ScoresAll, queries: Queries) -> Scores:
        """Kept for the request, so that a union can show every member's score of every candidate."""
        return remember(self, queries, lambda: self._numbers(part.score_all(queries)))

    def _numbers(self, scores: Scores) -> Scores:
        if np.isnan(scores).any():
            raise FloatingPointError(f"{self.name} gave scores that are not numbers")
        return scores

    def _signed(self, found: Slates) -> Slates:
        """With the evidence of this source, unless its members wrote theirs."""
        if any(name.startswith("rank:") for name in found.columns):
            return found
        named = found.with_column(f"rank:{self.name}", found.ranks().astype(np.float32))
        return named.with_column(f"score:{self.name}", found.scores)

    def state(self) -> State:
        """The part's."""
        return self.part.state()


def fit_all(
    steps: Sequence[Step], data: Data, run: Run, warm: Iterable[Any] | None = None
) -> tuple[StepPart, ...]:
    """Every step fitted on the same data, from older parts of the same steps where there are."""
    older: dict[str, StepPart] = {part.name: part for part in warm or ()}
    return tuple(step.fit(data, run, older.get(step.called)) for step in steps)
