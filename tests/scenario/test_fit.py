"""Fitting in two rounds: nothing of the future reaches the examples."""

from dataclasses import replace

import numpy as np
import pytest

from polyscene.core.arrays import RaggedTable
from polyscene.core.config import Config
from polyscene.core.contracts import Data, Effect, Run, State
from polyscene.core.queries import Queries
from polyscene.core.slates import Slates
from polyscene.models.popular import Popular
from polyscene.models.random import Random
from polyscene.rank.bst import Bst
from polyscene.rank.dcn import Dcn
from polyscene.rank.din import Din
from polyscene.rank.linear_ranker import LinearRanker
from polyscene.rank.lstm_ranker import LstmRanker
from polyscene.retrieve.step import Step
from polyscene.retrieve.union import Union
from polyscene.scenario.file import Scenario
from polyscene.scenario.fit import hold_back
from polyscene.scenario.run import Pipeline
from polyscene.testing.worlds import ask, checkerboard, noise, nothing

SEEN: list[Data] = []


class Spy(Config, frozen=True, kw_only=True, tag="spy"):
    """Keeps the data that every stage was fitted on; orders nothing."""

    needs_examples = True

    def fit(self, data: Data, run: Run, warm: "SpyPart | None" = None) -> "SpyPart":
        SEEN.append(data)
        return SpyPart()


class SpyPart:
    effect = frozenset({Effect.SCORES})

    def __call__(self, queries: Queries, slates: Slates) -> Slates:
        return slates

    def state(self) -> State:
        return State()


class Next(Config, frozen=True, kw_only=True, tag="next"):
    """Knows for the world of `checkerboard` which item comes next."""

    def fit(self, data: Data, run: Run, warm: "NextPart | None" = None) -> "NextPart":
        return NextPart()

    def load(self, state: State, run: Run) -> "NextPart":
        return NextPart()


class NextPart:
    effect = frozenset({Effect.ADDS})

    def __call__(self, queries: Queries, slates: Slates) -> Slates:
        raise AssertionError("asked for its scores")

    def score_all(self, queries: Queries) -> np.ndarray:
        size = queries.allowed.size
        last = queries.history["item"][queries.history.offsets[1:] - 1]
        return -((np.arange(size)[None] - last[:, None] - 2) % size).astype(np.float32)

    def state(self) -> State:
        return State()


def test_the_last_event_is_the_question_and_not_in_the_data() -> None:
    data = noise()
    past = hold_back(data, lambda queries: queries, Run())
    able = np.flatnonzero(data.histories.lengths >= 3)
    assert past.queries.users.tolist() == data.users[able].tolist()
    last = data.histories.offsets[1:][able] - 1
    assert past.targets.tolist() == data.histories["item"][last].tolist()
    assert past.queries.at.tolist() == data.histories["time"][last].tolist()
    assert len(past.data.histories["item"]) == len(data.histories["item"]) - len(able)
    for row, user in enumerate(able):
        kept = past.data.histories.ragged("time")[user]
        assert (kept <= past.queries.at[row]).all()
        assert past.queries.history.ragged("item")[row].tolist() == (
            data.histories.ragged("item")[user][:-1].tolist()
        )


def test_rankers_see_labelled_slates_of_the_past_and_sources_all_data() -> None:
    SEEN.clear()
    data = noise()
    scenario = Scenario(scenario="x", stages=(Popular(), Spy()))
    pipeline = scenario.fit(data, Run())
    (seen,) = SEEN
    examples = seen.examples
    assert examples is not None
    assert len(seen.histories["item"]) < len(data.histories["item"])
    counts = np.bincount(data.histories["item"], minlength=data.size)
    assert pipeline.parts[0].part.counts.tolist() == counts.tolist()
    assert 0 < examples.labels.sum() <= len(examples.queries)
    # Each label stands once more under the action that it came with.
    by_action = [examples.slates.columns[f"label:{name}"] for name in data.actions]
    assert all(each.any() for each in by_action)
    np.testing.assert_array_equal(np.sum(by_action, axis=0), examples.labels)
    newest = data.histories.offsets[1:][examples.queries.users] - 1
    viewed = (data.histories["action"][newest] == 0)[examples.slates.rows()]
    np.testing.assert_array_equal(by_action[0], examples.labels * viewed)
    # Deleted items, and what the user had before, never stand in an example.
    assert examples.queries.allowed.of(0)[examples.slates.items].all()
    for row in range(len(examples.queries)):
        before = examples.queries.history.ragged("item")[row]
        assert not set(examples.slates.of(row)) & set(before.tolist())


NETWORK = {"epochs": 60, "batch_size": 64, "learning_rate": 0.02, "negatives": 10, "dropout": 0.0}


@pytest.mark.parametrize(
    "ranker",
    [
        LinearRanker(),
        Dcn(**NETWORK),
        Din(**NETWORK),
        Bst(**NETWORK),
        LstmRanker(**NETWORK, states=(16, 8)),
    ],
)
def test_it_learns_which_source_knows(ranker: Config) -> None:
    world = checkerboard()
    stages = (Union(of=(Random(), Next())), ranker)
    scenario = Scenario(scenario="x", stages=stages)
    pipeline = scenario.fit(world.data, Run())
    found = pipeline(ask(world.data), Slates.empty(len(world.data.users)))
    assert [found.of(row)[0] for row in range(len(found))] == world.answers.values.tolist()


def test_a_pipeline_comes_back_from_its_state() -> None:
    data = noise()
    sources = Union(of=(Step(stage=Popular(), take=9), Step(stage=Random(), take=9, name="chance")))
    scenario = Scenario(scenario="x", stages=(sources, LinearRanker()))
    run = Run(view=None)
    pipeline = scenario.fit(data, run)
    state = pipeline.state()
    assert "union/popular/counts" in state.tensors
    from polyscene.core.contracts import StillView

    again: Pipeline = scenario.load(state, Run(view=StillView.of(data)))
    first = pipeline(ask(data), Slates.empty(len(data.users)))
    second = again(ask(data), Slates.empty(len(data.users)))
    assert first.items.tolist() == second.items.tolist()
    assert first.scores.tolist() == second.scores.tolist()


def test_positive_events_alone_are_learned_from() -> None:
    data = noise()
    scenario = Scenario(scenario="x", stages=(Popular(),), positive={"buy": 1.0})
    counts = scenario.fit(data, Run()).parts[0].part.counts
    bought = data.histories["action"] == 1
    assert counts.tolist() == np.bincount(data.histories["item"][bought], minlength=data.size).tolist()


def test_adapt_asks_as_the_scenario_would() -> None:
    data = noise()
    queries = ask(data)
    kept = Scenario(scenario="x", stages=(Popular(),), seen="keep", history=2, positive={"buy": 2.0})
    adapted = kept.adapt(queries, data.catalogue, data.actions)
    assert (adapted.history.lengths <= 2).all()
    assert (adapted.history["action"] == 1).all()
    assert not len(adapted.exclude.values)
    anchored = Scenario(scenario="x", stages=(Popular(),), anchors="context", where="put_at < 0")
    adapted = anchored.adapt(queries, data.catalogue, data.actions)
    assert adapted.history.lengths.max() == 1
    assert not adapted.allowed.masks.any()
    assert queries.allowed.masks.any()


def test_data_too_small_for_examples_still_fits() -> None:
    data = noise(users=3, items=6)
    short = replace(data, histories=data.histories.tail(1))
    run = Run()
    scenario = Scenario(scenario="x", stages=(Popular(), LinearRanker()))
    pipeline = scenario.fit(short, run)
    assert "no candidate was what came next" in run.warnings[0]
    assert len(pipeline(ask(short), Slates.empty(3)).items)
    empty = replace(
        nothing(4),
        histories=RaggedTable(
            np.zeros(1, np.int64),
            noise().histories.where(np.zeros(len(noise().histories["item"]), bool)).columns,
        ),
    )
    assert scenario.fit(empty, Run()).name == "x"


@pytest.mark.parametrize("budget_s", [None, 5.0])
def test_the_budget_is_shared_between_the_rounds(budget_s: float | None) -> None:
    budgets: list[float | None] = []

    class Timed(Config, frozen=True, kw_only=True, tag="timed"):
        def fit(self, data: Data, run: Run, warm: object = None) -> NextPart:
            budgets.append(run.budget_s)
            return NextPart()

    Scenario(scenario="x", stages=(Timed(), LinearRanker())).fit(
        checkerboard().data, Run(budget_s=budget_s)
    )
    assert len(budgets) == 2
    assert all(each is None if budget_s is None else 1.0 <= each <= 2.5 for each in budgets)
