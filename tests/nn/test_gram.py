import numpy as np

from polyscene.core.queries import history_of
from polyscene.core.rows import Rows
from polyscene.nn.gram import STEEP, ease_weights, gram


def meetings(lists, count):
    return gram(history_of(lists), Rows(np.arange(count)))


def test_it_counts_histories_and_not_repeats():
    np.testing.assert_array_equal(meetings([[0, 0, 1], [1]], 2), [[1, 1], [1, 2]])


def test_weights_solve_their_least_squares():
    rng = np.random.default_rng(0)
    grams, l2 = meetings([rng.integers(0, 9, 5).tolist() for _ in range(30)], 9), 2.0
    weights = ease_weights(grams.copy(), l2)
    assert weights.flags.c_contiguous
    slope = grams @ weights + l2 * weights - grams
    np.testing.assert_array_equal(np.diag(weights), np.zeros(9))
    np.testing.assert_allclose(slope - np.diag(np.diag(slope)), np.zeros((9, 9)), atol=1e-4)


def test_a_steep_matrix_is_inverted_in_twice_the_precision():
    grams = np.full((40, 40), 1e6, np.float32) + np.diag(np.arange(1, 41, dtype=np.float32) * 1e3)
    l2 = 1.0
    assert np.trace(grams) / l2 > STEEP
    inverse = np.linalg.inv(grams.astype(np.float64) + l2 * np.eye(40))
    exact = inverse / -np.diag(inverse)
    np.fill_diagonal(exact, 0)
    np.testing.assert_allclose(ease_weights(grams.copy(), l2), exact, rtol=1e-4, atol=1e-5)


def test_of_nothing_it_is_nothing():
    assert ease_weights(np.zeros((0, 0), np.float32), 1.0).shape == (0, 0)
