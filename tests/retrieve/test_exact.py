"""The exact index against a sort of every score, one query at a time."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from polyscene.core.arrays import Ragged
from polyscene.core.queries import Eligible
from polyscene.retrieve.exact import Exact


def naive(codes, vectors, query, k, allowed, exclude):
    scored = [
        (-float(np.float32(vectors[row] @ query)), int(code))
        for row, code in enumerate(codes)
        if code < len(allowed) and allowed[code] and code not in exclude
    ]
    return [code for _, code in sorted(scored)[:k]]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**31), st.integers(0, 12), st.sampled_from([0.05, 0.5, 1.0]))
def test_equals_a_full_sort(seed: int, k: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    codes = rng.permutation(40)[:25].astype(np.int32)
    # Small whole numbers: many ties, and sums that are exact in any order.
    vectors = rng.integers(-2, 3, (25, 3)).astype(np.float32)
    queries = rng.integers(-2, 3, (6, 3)).astype(np.float32)
    allowed = Eligible(rng.random((2, 35)) < share, rng.integers(0, 2, 6))
    exclude = Ragged.of([rng.integers(-1, 40, rng.integers(0, 6)) for _ in range(6)])
    found = Exact(codes, vectors).search(queries, k, allowed, exclude)
    for row in range(6):
        assert found.of(row).tolist() == naive(
            codes, vectors, queries[row], k, allowed.of(row), set(exclude[row].tolist())
        )
        expected = [vectors[list(codes).index(code)] @ queries[row] for code in found.of(row)]
        np.testing.assert_array_equal(found.scores[found.offsets[row] : found.offsets[row + 1]], expected)


def search(index: Exact, k: int = 9) -> list[int]:
    return index.search(np.ones((1, 2), np.float32), k, Eligible.all(1, 9), Ragged.empty(1)).of(0).tolist()


def test_items_join_change_and_leave_without_touching_the_old_index() -> None:
    index = Exact(np.array([3, 1], np.int32), np.array([[1, 1], [2, 2]], np.float32))
    more = index.with_items(np.array([5, 3], np.int32), np.array([[3, 3], [9, 9]], np.float32))
    assert search(more) == [3, 5, 1]
    assert search(more.without(np.array([3, 8], np.int32))) == [5, 1]
    assert search(index) == [1, 3]


def test_of_a_code_given_twice_the_last_vector_counts() -> None:
    index = Exact(np.array([0], np.int32), np.array([[4, 4]], np.float32))
    twice = index.with_items(np.array([1, 1], np.int32), np.array([[9, 9], [1, 1]], np.float32))
    assert search(twice) == [0, 1]


def test_an_empty_index_finds_nothing() -> None:
    index = Exact(np.zeros(0, np.int32), np.zeros((0, 2), np.float32))
    assert search(index) == []
    assert search(index.with_items(np.array([2], np.int32), np.ones((1, 2), np.float32))) == [2]
