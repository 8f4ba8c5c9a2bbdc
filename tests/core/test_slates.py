from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from polyscene.core.arrays import Ragged
from polyscene.core.queries import Eligible, Queries, history_of
from polyscene.core.slates import Slates, append, concat, mask_block, top

BLOCKS = hnp.arrays(
    np.float32,
    hnp.array_shapes(min_dims=2, max_dims=2, max_side=12),
    elements=st.sampled_from([-np.inf, np.nan, -3.4e38, -1.0, -0.0, 0.0, 0.5, 0.5, 2.0, 3.4e38, np.inf]),
)


def naive_top(scores, take):
    lists = []
    for row in scores.tolist():
        open_ = [code for code, score in enumerate(row) if score > -np.inf]
        lists.append(sorted(open_, key=lambda code, row=row: (-row[code], code))[:take])
    return lists


@given(BLOCKS, st.integers(0, 14))
def test_top_equals_a_sort(scores, take):
    before = scores.copy()
    slates = top(scores, take)
    expected = naive_top(scores, take)
    assert [slates.of(row).tolist() for row in range(len(scores))] == expected
    assert slates.scores.tolist() == [
        row[code] for row, codes in zip(scores, expected, strict=True) for code in codes
    ]
    np.testing.assert_array_equal(scores, before)


@pytest.mark.parametrize("shape", [(0, 5), (3, 0), (0, 0)])
def test_top_of_an_empty_block(shape):
    assert len(top(np.zeros(shape, np.float32), 4)) == shape[0]


def test_top_of_all_ties_is_the_lowest_codes():
    slates = top(np.zeros((2, 1000), np.float32), 3)
    assert slates.items.tolist() == [0, 1, 2, 0, 1, 2]


def test_top_of_a_block_of_doubles_is_float32():
    slates = top(np.array([[0.25, 0.5]]), 2)
    assert slates.scores.dtype == np.float32
    assert slates.items.tolist() == [1, 0]


def slates_of(lists, columns=()):
    packed = Ragged.of([[item for item, _ in row] for row in lists])
    scores = np.array([score for row in lists for _, score in row], np.float32)
    return Slates(packed.offsets, packed.values, scores, dict(columns))


ROWS = st.lists(st.lists(st.integers(0, 6), unique=True, max_size=5), min_size=1, max_size=4)


@given(ROWS, st.randoms(use_true_random=False))
def test_append_keeps_ours_and_adds_what_is_new(lists, chance):
    theirs = [chance.sample(range(7), chance.randint(0, 7)) for _ in lists]
    left = slates_of([[(item, 1.0) for item in row] for row in lists])
    right = slates_of([[(item, 2.0) for item in row] for row in theirs])
    both = append(left, right)
    for row, (ours, other) in enumerate(zip(lists, theirs, strict=True)):
        assert both.of(row).tolist() == ours + [item for item in other if item not in ours]
    ours_first = both.scores == 1.0
    assert ours_first.sum() == len(left.items)


def test_append_fills_columns_from_either_side():
    left = slates_of([[(3, 1.0), (1, 0.5)], []], [("rank:a", np.array([0.0, 1.0], np.float32))])
    right = slates_of(
        [[(1, 9.0), (2, 8.0)], [(5, 7.0)]], [("rank:b", np.array([0.0, 1.0, 0.0], np.float32))]
    )
    both = append(left, right)
    assert both.items.tolist() == [3, 1, 2, 5]
    assert both.scores.tolist() == [1.0, 0.5, 8.0, 7.0]
    np.testing.assert_array_equal(both.columns["rank:a"], np.array([0, 1, np.nan, np.nan], np.float32))
    np.testing.assert_array_equal(both.columns["rank:b"], np.array([np.nan, 0, 1, 0], np.float32))


def test_append_to_nothing_and_of_nothing():
    some = slates_of([[(3, 1.0)], []])
    assert append(Slates.empty(2), some) is some
    kept = append(some, Slates.empty(2))
    assert kept.items.tolist() == [3]
    assert kept.offsets.tolist() == [0, 1, 1]


def test_concat_keeps_shared_columns_only():
    left = slates_of([[(1, 1.0)]], [("a", np.ones(1)), ("b", np.ones(1))])
    right = slates_of([[], [(2, 2.0)]], [("a", np.zeros(1))])
    both = concat([left, right])
    assert both.offsets.tolist() == [0, 1, 1, 2]
    assert list(both.columns) == ["a"]
    assert len(concat([])) == 0


def test_ordered_breaks_ties_by_code_and_puts_nan_last():
    slates = slates_of([[(4, 1.0), (2, np.nan), (1, 1.0), (3, 2.0)], [(9, 0.0)]])
    assert slates.ordered().items.tolist() == [3, 1, 4, 2, 9]


def test_head_take_where_regroup():
    slates = slates_of([[(1, 3.0), (2, 2.0), (3, 1.0)], [], [(4, 1.0), (5, 0.5)]])
    assert slates.head(np.array([2, 5, 0])).items.tolist() == [1, 2]
    assert slates.head(1).items.tolist() == [1, 4]
    assert slates.take(np.array([2, 0, 2])).items.tolist() == [4, 5, 1, 2, 3, 4, 5]
    odd = slates.where(slates.items % 2 == 1)
    assert odd.items.tolist() == [1, 3, 5]
    assert odd.offsets.tolist() == [0, 2, 2, 3]
    assert slates.ranks().tolist() == [0, 1, 2, 0, 1]


def test_mask_block_follows_groups_and_passes_over_unknown_codes():
    queries = Queries.of_histories(history_of([[], [], []]), 4)
    queries = replace(
        queries,
        allowed=Eligible(np.array([[1, 1, 0, 1], [0, 1, 1, 1]], bool), np.array([0, 1, 0])),
        exclude=Ragged.of([[1, -1], [7, 4], []]),
    )
    masked = mask_block(np.ones((3, 4), np.float32), queries)
    assert np.isneginf(masked).tolist() == [
        [False, True, True, False],
        [True, False, False, False],
        [False, False, True, False],
    ]


def test_mask_block_leaves_nothing_that_is_forbidden():
    queries = replace(
        Queries.of_histories(history_of([[]]), 2),
        allowed=Eligible(np.array([[True, False]]), np.zeros(1, int)),
    )
    masked = mask_block(np.ones((1, 2), np.float32), queries)
    assert np.isneginf(masked).tolist() == [[False, True]]
