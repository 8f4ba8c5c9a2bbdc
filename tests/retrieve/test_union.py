"""The union: fusion by rank, evidence per source, optional members."""

from collections.abc import Callable

import numpy as np
import pytest

from polyscene.core.contracts import Run
from polyscene.core.memo import memo
from polyscene.core.queries import Queries, history_of
from polyscene.core.slates import Slates
from polyscene.retrieve.step import Step, Watch, watching
from polyscene.retrieve.union import Union
from polyscene.testing.worlds import nothing

RUN = Run()


def queries(count: int = 1, size: int = 10) -> Queries:
    return Queries.of_histories(history_of([[]] * count), size, wanted=3)


def test_what_two_sources_agree_on_comes_first(listed: Callable) -> None:
    union = Union(of=(listed(items=(4, 7, 2)), Step(stage=listed(items=(9, 7)), name="other")))
    found = union.fit(nothing(10), RUN)(queries(2), Slates.empty(2))
    for row in range(2):
        # 7 is second twice; 4 and 9 lead one source each and tie, so the lower code stands first.
        assert found.of(row).tolist() == [7, 4, 9, 2]
    assert found.scores[0] == pytest.approx(2 / 62)
    np.testing.assert_array_equal(found.columns["rank:listed"][:4], [1, 0, np.nan, 2])
    np.testing.assert_array_equal(found.columns["rank:other"][:4], [1, np.nan, 0, np.nan])
    np.testing.assert_array_equal(found.columns["score:other"][:4], [1, np.nan, 2, np.nan])


def test_each_member_brings_its_own_take(listed: Callable) -> None:
    union = Union(
        of=(
            Step(stage=listed(items=(1, 2, 3, 4, 5)), take=5),
            Step(stage=listed(items=(6, 7, 8, 9)), name="b"),
        )
    )
    found = union.fit(nothing(10), RUN)(queries(), Slates.empty(1))
    assert sorted(found.of(0).tolist()) == [1, 2, 3, 4, 5, 6, 7, 8]


def test_a_member_that_scores_everything_tells_its_score_of_every_candidate(
    listed: Callable, by_code: Callable
) -> None:
    part = Union(of=(listed(items=(1, 2)), Step(stage=by_code(), take=2))).fit(nothing(10), RUN)
    with memo():
        found = part(queries(), Slates.empty(1))
    assert sorted(found.of(0).tolist()) == [1, 2, 8, 9]
    np.testing.assert_array_equal(found.columns["score:by_code"], found.items)
    assert np.isnan(found.columns["rank:by_code"][np.isin(found.items, [1, 2])]).all()
    assert part.members[1].part.calls == 1


def test_an_optional_member_that_fails_is_left_out_and_noted(listed: Callable) -> None:
    broken = Step(stage=listed(fails=True), name="broken", on_error="skip")
    part = Union(of=(broken, listed(items=(3,)))).fit(nothing(10), RUN)
    with watching(Watch()) as watch:
        found = part(queries(), Slates.empty(1))
    assert found.of(0).tolist() == [3]
    assert watch.records["broken"].skipped == "failed: out of order"
    assert "rank:broken" not in found.columns


def test_a_member_that_must_not_fail_fails_the_union(listed: Callable) -> None:
    part = Union(of=(listed(fails=True),)).fit(nothing(10), RUN)
    with pytest.raises(ValueError, match="out of order"):
        part(queries(), Slates.empty(1))


def test_no_candidates_at_all_are_an_empty_slate(listed: Callable) -> None:
    part = Union(of=(listed(),)).fit(nothing(10), RUN)
    assert len(part(queries(3), Slates.empty(3)).items) == 0


def test_state_keeps_members_apart(listed: Callable) -> None:
    union = Union(of=(Step(stage=listed(items=(1,)), name="a"), Step(stage=listed(items=(2,)), name="b")))
    state = union.fit(nothing(10), RUN).state()
    assert {name: array.tolist() for name, array in state.tensors.items()} == {
        "a/items": [1],
        "b/items": [2],
    }
    again = union.load(state, RUN)(queries(), Slates.empty(1))
    assert again.of(0).tolist() == [1, 2]
