"""Adapted: one foundation model for all scenarios, and what each of them adds to it.

Legend: B queries, I item codes.
"""

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar

import msgspec
import numpy as np

from polyscene.core.answer import answer
from polyscene.core.arrays import Array, Scores
from polyscene.core.config import Config
from polyscene.core.contracts import Data, Effect, Run, State
from polyscene.core.errors import BundleError, ConfigError
from polyscene.core.memo import remember
from polyscene.core.queries import Queries
from polyscene.core.slates import Slates
from polyscene.core.states import unpack
from polyscene.evaluate.validation import asked_in, validation
from polyscene.models.foundation import Foundation, FoundationPart
from polyscene.models.foundation.part import part_of
from polyscene.nn import loop, machine
from polyscene.nn.adapters import Adapter, ScenarioLessons, until_last
from polyscene.nn.checkpoint import identity
from polyscene.nn.course import generators_of
from polyscene.nn.events import Lessons
from polyscene.nn.teaching import Teacher
from polyscene.nn.weights import put_tensors, tensors_of

BASE_SHARE = 0.8
"""Of a time budget, what the shared model may take."""
Positive = Annotated[int, msgspec.Meta(ge=1)]
JUDGED = 4_000
"""Most questions that judge an adapter: what it gains may be small."""


class Adapted(Config, frozen=True, kw_only=True, tag="adapted"):
    """A foundation model learned from the events of all scenarios, with an adapter for each of them.

    First `base` learns from everything. Then, with its weights frozen, each scenario that has at least
    `least` events learns deltas of rank `rank` to them: its own events alone are targets, but what is read
    are whole histories, whatever scenario they came from. A query is answered by the adapter of its
    scenario, or by the base where there is none. With `scenario` there is one adapter only, and it answers
    every query: what a scenario's file says. With ``run.validate`` an adapter that does not raise the score
    is left out.

    A base that was trained to the end leaves an adapter nothing to learn but noise: let it stop at two
    thirds of the epochs that it would take alone, and give the last third to the adapters.
    ``base.epochs = 0`` with an older part to start from trains adapters alone, in seconds.

    Source: LoRA (Hu et al. 2021), an adapter per scenario as in multi-domain recommendation (MLoRA, Yang
    et al. 2024); ours has deltas on the item table too.
    """

    base: Foundation = Foundation(epochs=14)
    scenario: str | None = None
    rank: Positive = 8
    least: Positive = 100
    epochs: Annotated[int, msgspec.Meta(ge=0)] = 6
    learning_rate: Annotated[float, msgspec.Meta(gt=0)] = 1e-3
    l2: Annotated[float, msgspec.Meta(ge=0)] = 0.01

    def __post_init__(self) -> None:
        if not isinstance(self.base, Foundation):
            raise ConfigError("adapted.base: only a model of kind 'foundation' can be adapted")
        if not self.base.surface:
            raise ConfigError("adapted: base.surface must be true, or no scenario is told from another")

    def fit(self, data: Data, run: Run, warm: "AdaptedPart | None" = None) -> "AdaptedPart":
        """The base, then an adapter a scenario; `warm` lends its base.

        Raises:
            ConfigError: As the base's fit.
        """
        budget_s = None if run.budget_s is None else BASE_SHARE * run.budget_s
        base = self.base.fit(data, replace(run, budget_s=budget_s), None if warm is None else warm.base)
        chosen = self._chosen(data, run)
        part = AdaptedPart(base, {}, {}, chosen[0] if chosen and self.scenario is not None else None)
        if not chosen or not self.epochs:
            return part
        if run.budget_s is not None:
            run = replace(run, budget_s=(1 - BASE_SHARE) * run.budget_s / len(chosen))
        with machine.settled(run):
            for code in chosen:
                part = self._with_adapter(part, code, data, run)
        return part

    def _chosen(self, data: Data, run: Run) -> list[int]:
        """The scenarios that get an adapter."""
        if self.scenario is not None and self.scenario not in data.scenarios:
            run.warnings.append(
                f"adapted: no event came in scenario {self.scenario!r}, so the base answers as it is"
            )
            return []
        if len(data.scenarios) < 2:
            return []
        if self.scenario is not None:
            return [data.scenarios.index(self.scenario)]
        scenario = data.histories["scenario"]
        return np.flatnonzero(np.bincount(scenario[scenario >= 0]) >= self.least).tolist()

    def _with_adapter(self, part: "AdaptedPart", code: int, data: Data, run: Run) -> "AdaptedPart":
        """The part and an adapter of one scenario, unless there is nothing to learn or it does not help."""
        base, known, objective = part.base, part.base.known, self.base.objective
        table = until_last(known.reader.table(data.histories, known.rows), code)
        taught = deepcopy(base.network).train()
        chance = generators_of(taught)[0].manual_seed(run.seed)
        adapter = Adapter(taught, self.rank, chance)
        own = table.where(table["scenario"] == code)
        teacher = Teacher.of(taught, objective, own, len(known.rows), chance)
        # Varied as the base's histories are, or an adapter learns its few by heart.
        syllabus = self.base.syllabus(table, known, run.seed)
        lessons = Lessons(known.reader, table, syllabus, base.network.items.ids.device)
        if not lessons.steps:
            return part
        usual = self.base.plan(f"adapter {code}", identity(self, data))
        plan = replace(usual, epochs=self.epochs, learning_rate=self.learning_rate, l2=self.l2)
        judge = self._judge(code, run)
        validate = None if judge is None else lambda: judge(part.adding(code, adapter))
        outcome = loop.train(
            adapter, ScenarioLessons(lessons, code), adapter.taught_by(teacher), plan, run, validate
        )
        if judge is not None and outcome.best is not None and outcome.best <= judge(part):
            run.warnings.append(
                f"adapted: an adapter of {data.scenarios[code]!r} would not help, so it has none"
            )
            return part
        return part.adding(code, adapter)

    def _judge(self, code: int, run: Run) -> Callable[["AdaptedPart"], float] | None:
        """Scores by the scenario's own questions, where the run has some: others would drown them."""
        if run.validate is None or run.holdout is None:
            return run.validate
        own = asked_in(run.holdout, code)
        return validation(own, JUDGED) if len(own.queries) else run.validate

    def load(self, state: State, run: Run) -> "AdaptedPart":
        """The part as it was saved. Raises BundleError when a tensor is missing or of wrong shape."""
        base = self.base.load(unpack(state, "base"), run)
        try:
            only, codes = state.meta["only"], state.meta["adapters"]
        except KeyError as problem:
            raise BundleError(f"adapted: {problem} is missing from the bundle; fit it again") from problem
        part = AdaptedPart(base, {}, {}, only)
        for code in codes:
            adapter = Adapter(base.network, self.rank, generators_of(base.network)[0])
            put_tensors(adapter, unpack(state, f"adapter {code}").tensors)
            part = part.adding(code, adapter)
        return part


@dataclass(frozen=True, slots=True, eq=False)
class AdaptedPart:
    """The base, and by scenario code the adapters and the base with each of them in its weights.

    `only`: the scenario that every query is taken to come from; None: its own.
    """

    base: FoundationPart
    adapters: Mapping[int, Mapping[str, Array]]
    forms: Mapping[int, FoundationPart]
    only: int | None
    effect: ClassVar[frozenset[Effect]] = frozenset({Effect.ADDS})

    def adding(self, code: int, adapter: Adapter) -> "AdaptedPart":
        """The part with one adapter more."""
        form = part_of(adapter.merged(self.base.network), self.base.known).settled()
        return replace(
            self,
            adapters={**self.adapters, code: tensors_of(adapter)},
            forms={**self.forms, code: form},
        )

    def __call__(self, queries: Queries, slates: Slates) -> Slates:
        """Adds the items most likely to come next in the scenario of each query."""
        return answer(self, queries, slates)

    def score_all(self, queries: Queries) -> Scores:
        """(B, I) logits of the next item; -inf for codes that the base can't score."""
        queries = remember(self, queries, lambda: self._placed(queries))
        codes = np.unique(queries.scenario).tolist()
        if len(codes) == 1:
            return self._form(codes[0]).score_all(queries)
        scores_BI = np.empty((len(queries), queries.allowed.size), np.float32)
        for code in codes:
            rows = np.flatnonzero(queries.scenario == code)
            scores_BI[rows] = self._form(code).score_all(queries.take(rows))
        return scores_BI

    def _placed(self, queries: Queries) -> Queries:
        if self.only is None:
            return queries
        return replace(queries, scenario=np.full(len(queries), self.only, np.int32))

    def _form(self, code: int) -> FoundationPart:
        return self.forms.get(code, self.base)

    def state(self) -> State:
        """The base, and the deltas of each scenario."""
        base = self.base.state()
        tensors = {f"base/{name}": values for name, values in base.tensors.items()}
        for code, deltas in self.adapters.items():
            tensors |= {f"adapter {code}/{name}": values for name, values in deltas.items()}
        meta = {"base": dict(base.meta), "only": self.only, "adapters": list(self.adapters)}
        return State(tensors, meta)
