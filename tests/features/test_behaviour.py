import numpy as np
import pytest

from polyscene.core.arrays import Ragged
from polyscene.features.behaviour import _near, _ppmi, behaviour_vectors


def circles(seed=0):
    """Walks inside two halves of 20 items that never meet."""
    rng = np.random.default_rng(seed)
    return Ragged.of([rng.integers(0, 10, 8) + 10 * (user % 2) for user in range(80)])


def test_neighbours_weigh_by_distance_like_in_a_loop():
    histories = Ragged.of([[0, 1, 2, 1], [3, 0]])
    expected = np.zeros((4, 4))
    for row in range(2):
        items = histories[row]
        for left in range(len(items)):
            for right in range(left + 1, min(left + 3, len(items))):
                if items[left] != items[right]:
                    expected[items[left], items[right]] += 1 / (right - left)
                    expected[items[right], items[left]] += 1 / (right - left)
    np.testing.assert_allclose(_near(histories, 4, 2).toarray(), expected)


def test_factors_are_those_of_a_full_decomposition():
    histories = circles()
    ppmi = _ppmi(_near(histories, 20, 3)).toarray()
    vectors = behaviour_vectors(histories, 20, dim=20, window=3, seed=0)
    values, turn = np.linalg.eigh(ppmi)
    exact = (turn * np.maximum(values, 0)) @ turn.T
    np.testing.assert_allclose(vectors @ vectors.T, exact, atol=1e-4)


def test_items_that_stand_together_get_like_vectors():
    vectors = behaviour_vectors(circles(), 20, dim=4, window=3, seed=0)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    cosine = unit @ unit.T
    assert cosine[:10, :10].mean() > cosine[:10, 10:].mean() + 0.2


def test_items_without_neighbours_are_zeros():
    vectors = behaviour_vectors(Ragged.of([[0, 1, 0, 1], [2]]), 4, dim=3, window=2, seed=0)
    assert np.abs(vectors[:2]).min() > 1e-3 or np.abs(vectors[:2]).max() > 1e-3
    np.testing.assert_allclose(vectors[2:], 0, atol=1e-6)


@pytest.mark.parametrize("count", [0, 1, 3])
def test_next_to_nothing(count):
    vectors = behaviour_vectors(Ragged.empty(2), count, dim=8, window=2, seed=0)
    assert vectors.shape[0] == count
    assert not vectors.any()
