"""Ranks over the full catalogue: exact, pessimistic, masked, in blocks."""

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyscene.core.answer import answer
from polyscene.core.arrays import Ragged
from polyscene.core.contracts import Effect, Holdout, State
from polyscene.core.errors import DataError
from polyscene.core.queries import Eligible, Queries, history_of
from polyscene.core.slates import Slates
from polyscene.evaluate import ranking
from polyscene.evaluate.ranking import rank


@dataclass(frozen=True)
class Scorer:
    """Scores each query by the row that its seed names."""

    scores: np.ndarray
    effect: ClassVar[frozenset[Effect]] = frozenset({Effect.ADDS})

    def __call__(self, queries, slates):
        return answer(self, queries, slates)

    def score_all(self, queries):
        return self.scores[queries.seeds.astype(int)].copy()

    def state(self):
        return State()


@dataclass(frozen=True)
class Fixed:
    """Always the same slates."""

    slates: list
    effect: ClassVar[frozenset[Effect]] = frozenset({Effect.ADDS})

    def __call__(self, queries, slates):
        lists = Ragged.of([self.slates[int(seed)] for seed in queries.seeds])
        return Slates(lists.offsets, lists.values, np.zeros(len(lists.values), np.float32))


def holdout(targets, size, exclude=None):
    count = len(targets)
    queries = Queries.of_histories(history_of([[]] * count), size)
    queries = replace(queries, exclude=Ragged.of(exclude or [[]] * count))
    wanted = Ragged.of(targets)
    return Holdout(queries, wanted, Ragged(wanted.offsets, np.ones(len(wanted.values), np.float32)))


def ranks_of(scores, targets, exclude=None, k=3):
    scores = np.array(scores, np.float32)
    found = rank(Scorer(scores), holdout(targets, scores.shape[1], exclude), k=k)
    return [found.ranks[row].tolist() for row in range(len(found.ranks))]


def test_the_best_item_has_rank_0():
    assert ranks_of([[1, 3, 2]], [[1]]) == [[0]]


def test_a_tied_target_stands_behind_all_of_its_score():
    assert ranks_of([[5, 5, 5, 1]], [[0]]) == [[2]]


def test_constant_scores_put_a_target_last():
    assert ranks_of([[0.0] * 50], [[7]]) == [[49]]


def test_tied_targets_share_the_last_places_of_the_tie():
    assert sorted(ranks_of([[5, 5, 5, 1]], [[0, 1]])[0]) == [1, 2]


def test_excluded_items_do_not_stand_above():
    assert ranks_of([[9, 8, 7]], [[2]], exclude=[[0, 1, 1]]) == [[0]]


def test_forbidden_items_do_not_stand_above_and_are_no_candidates():
    asked = holdout([[2]], 4)
    masks = np.array([[False, True, True, True]])
    asked = replace(asked, queries=replace(asked.queries, allowed=Eligible(masks, np.zeros(1, int))))
    found = rank(Scorer(np.array([[9, 8, 7, 1]], np.float32)), asked)
    assert found.ranks.values.tolist() == [1]
    assert found.candidates.tolist() == [3]


def test_candidates_leave_out_each_exclusion_once():
    found = rank(Scorer(np.zeros((1, 5), np.float32)), holdout([[4]], 5, [[0, 0, 1, -1, 99]]))
    assert found.candidates.tolist() == [3]


@pytest.mark.parametrize("score", [-np.inf, np.nan])
def test_what_a_model_cannot_score_is_not_reached(score):
    found = rank(Scorer(np.array([[1, score, 2]], np.float32)), holdout([[1]], 3))
    assert found.ranks.values.tolist() == [3]
    assert not found.reached().any()


def test_a_target_without_a_code_is_not_reached():
    assert ranks_of([[1, 2, 3]], [[-1, 2]]) == [[3, 0]]


def test_a_target_listed_twice_counts_once():
    assert ranks_of([[1, 2, 3]], [[2, 2, 1]]) == [[1, 0]]


def test_a_masked_target_is_an_error_that_names_it():
    with pytest.raises(DataError, match=r"target 1 of query 0 is itself excluded.*drop the query"):
        ranks_of([[1, 2]], [[1]], exclude=[[1]])


def test_a_forbidden_target_is_an_error():
    asked = holdout([[0]], 2)
    masks = np.array([[False, True]])
    asked = replace(asked, queries=replace(asked.queries, allowed=Eligible(masks, np.zeros(1, int))))
    with pytest.raises(DataError, match="not allowed"):
        rank(Scorer(np.zeros((1, 2), np.float32)), asked)


def test_a_query_without_target_is_an_error():
    with pytest.raises(DataError, match="query 1 has no target"):
        ranks_of([[1, 2], [1, 2]], [[1], []])


def test_slates_hold_the_best_k():
    scores = np.array([[1, 3, 2, 0]], np.float32)
    found = rank(Scorer(scores), holdout([[0]], 4), k=2)
    assert found.slates.items.tolist() == [1, 2]


def test_a_stage_that_gives_slates_reaches_only_what_it_shows():
    found = rank(Fixed([[3, 1], [2]]), holdout([[1, 0], [2]], 5))
    assert found.ranks[0].tolist() == [5, 1]
    assert found.ranks[1].tolist() == [0]
    assert found.reached().tolist() == [False, True, True]


def test_a_repeated_item_counts_at_its_first_place():
    found = rank(Fixed([[3, 1, 1, 2]]), holdout([[1, 2]], 5))
    assert found.ranks[0].tolist() == [1, 3]


def test_a_stage_that_shows_nothing():
    found = rank(Fixed([[], []]), holdout([[1], [0]], 5))
    assert found.ranks.values.tolist() == [5, 5]


def test_blocks_do_not_change_the_answer(monkeypatch):
    rng = np.random.default_rng(0)
    scores = rng.integers(0, 6, (30, 20)).astype(np.float32)
    targets = [rng.choice(20, size, replace=False).tolist() for size in rng.integers(1, 4, 30)]
    asked = holdout(targets, 20)
    whole = rank(Scorer(scores), asked, k=5)
    monkeypatch.setattr(ranking, "BLOCK_CELLS", 45)
    pieces = rank(Scorer(scores), asked, k=5)
    np.testing.assert_array_equal(whole.ranks.values, pieces.ranks.values)
    np.testing.assert_array_equal(whole.slates.items, pieces.slates.items)


def naive(scores, targets, hidden):
    """The worst order that the scores allow, written down."""
    order = sorted(
        (code for code in range(len(scores)) if code not in hidden),
        key=lambda code: (-scores[code], code in targets),
    )
    return sorted(order.index(code) for code in targets)


@given(st.data())
def test_ranks_equal_the_naive_form(data):
    size = data.draw(st.integers(3, 8))
    scores = data.draw(st.lists(st.integers(0, 3), min_size=size, max_size=size))
    targets = data.draw(st.sets(st.integers(0, size - 1), min_size=1, max_size=2))
    hidden = data.draw(st.sets(st.integers(0, size - 1))) - targets
    found = ranks_of([scores], [sorted(targets)], [sorted(hidden)])[0]
    assert sorted(found) == naive(scores, targets, hidden)
