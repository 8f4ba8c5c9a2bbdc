"""What the runner may ask of a step: masks, budgets, failures, evidence."""

from collections.abc import Callable

import numpy as np
import pytest

from polyscene.core.contracts import Run
from polyscene.core.queries import Queries, history_of
from polyscene.core.slates import Slates
from polyscene.core.states import pack, unpack
from polyscene.retrieve.step import Costs, Step, Watch, watching
from polyscene.testing.worlds import nothing

RUN, DATA = Run(), nothing(10)
QUERIES = Queries.of_histories(history_of([[]]), 10, wanted=3)


def test_take_and_evidence(listed: Callable) -> None:
    step = Step(stage=listed(items=(5, 3, 8, 1)), name="mine", take=2)
    found = step.fit(DATA, RUN)(QUERIES, Slates.empty(1))
    assert found.of(0).tolist() == [5, 3]
    assert found.columns["rank:mine"].tolist() == [0, 1]
    assert found.columns["score:mine"].tolist() == [4, 3]


def test_without_take_it_brings_what_is_wanted(by_code: Callable) -> None:
    assert Step(stage=by_code()).fit(DATA, RUN)(QUERIES, Slates.empty(1)).of(0).tolist() == [9, 8, 7]


def test_a_second_source_keeps_the_first_ones_places(listed: Callable) -> None:
    first = Step(stage=listed(items=(5, 3)), name="a").fit(DATA, RUN)(QUERIES, Slates.empty(1))
    both = Step(stage=listed(items=(3, 1)), name="b").fit(DATA, RUN)(QUERIES, first)
    assert both.of(0).tolist() == [5, 3, 1]
    np.testing.assert_array_equal(both.columns["rank:b"], [np.nan, 0, 1])


def test_the_skip_mask_holds_also_for_the_last_source(listed: Callable) -> None:
    part = Step(stage=listed(items=(5,))).fit(DATA, RUN)
    with watching(Watch(skip=frozenset({"listed"}))) as watch:
        assert not len(part(QUERIES, Slates.empty(1)).items)
    assert watch.records["listed"].skipped == "skip mask"


def test_an_optional_step_over_budget_is_left_out_until_it_got_cheaper(listed: Callable) -> None:
    part = Step(stage=listed(items=(5,)), on_error="skip").fit(DATA, RUN)
    costs = Costs()
    costs.ms["listed"] = 1_000.0
    already = Slates(np.array([0, 1]), np.array([2], np.int32), np.array([1.0], np.float32))
    for _ in range(200):
        with watching(Watch(budget_ms=500.0, costs=costs)) as watch:
            found = part(QUERIES, already)
        if len(found.items) > 1:
            break
        assert watch.records["listed"].skipped.startswith("budget")
    assert found.of(0).tolist() == [2, 5]


def test_the_budget_never_takes_the_only_source_or_a_needed_step(listed: Callable) -> None:
    costs = Costs()
    costs.ms["listed"] = 1_000.0
    optional = Step(stage=listed(items=(5,)), on_error="skip").fit(DATA, RUN)
    needed = Step(stage=listed(items=(5,))).fit(DATA, RUN)
    already = Slates(np.array([0, 1]), np.array([2], np.int32), np.array([1.0], np.float32))
    with watching(Watch(budget_ms=1.0, costs=costs)):
        assert optional(QUERIES, Slates.empty(1)).of(0).tolist() == [5]
        assert needed(QUERIES, already).of(0).tolist() == [2, 5]


def test_scores_that_are_no_numbers_are_a_failure(listed: Callable) -> None:
    broken = listed(items=(1,), scores=(float("nan"),))
    with pytest.raises(FloatingPointError, match="listed gave scores that are not numbers"):
        Step(stage=broken).fit(DATA, RUN)(QUERIES, Slates.empty(1))
    optional = Step(stage=broken, on_error="skip").fit(DATA, RUN)
    assert not len(optional(QUERIES, Slates.empty(1)).items)


def test_pack_and_unpack(listed: Callable) -> None:
    parts = {name: listed(items=(place,)).fit(DATA, RUN) for place, name in enumerate(["a", "ab"])}
    state = pack(parts)
    assert unpack(state, "a").tensors["items"].tolist() == [0]
    assert unpack(state, "ab").tensors["items"].tolist() == [1]
    assert not unpack(state, "c").tensors
