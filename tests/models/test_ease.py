import numpy as np
import pytest

from polyscene.core.contracts import Run
from polyscene.core.queries import Queries, history_of
from polyscene.core.slates import Slates
from polyscene.models.ease import Ease
from polyscene.testing.worlds import checkerboard, noise


def seen_matrix(data):
    seen = np.zeros((len(data.users), data.size))
    seen[data.histories.rows(), data.histories["item"]] = 1
    return seen


@pytest.mark.parametrize("l2", [500.0, 3.0, 1e-3])
def test_weights_are_the_closed_form_however_steep_the_problem(l2):
    data = noise()
    part = Ease(l2=l2).fit(data, Run())
    seen = seen_matrix(data)[:, part.rows.codes]
    inverse = np.linalg.inv(seen.T @ seen + l2 * np.eye(len(part.rows)))
    expected = -inverse / np.diag(inverse)
    np.fill_diagonal(expected, 0)
    np.testing.assert_allclose(part.weights, expected, rtol=1e-4, atol=2e-5)


def test_scores_are_sums_over_distinct_history_items():
    data = noise()
    part = Ease(l2=3.0).fit(data, Run())
    queries = Queries.of_histories(history_of([[3, 5, 3], [3, 5], []]), data.size)
    block = part.score_all(queries)
    np.testing.assert_array_equal(block[0], block[1])
    rows = part.rows.of(np.array([3, 5]))
    known = block[0, part.rows.codes]
    np.testing.assert_allclose(known, part.weights[rows].sum(0), rtol=1e-5, atol=1e-6)
    assert np.isneginf(block[2]).all(), "nothing is known of an empty history"


def test_of_too_many_items_the_most_touched_have_weights_and_the_fit_says_so():
    data, run = noise(), Run()
    part = Ease(max_items=10).fit(data, run)
    counts = np.bincount(data.histories["item"])
    assert len(part.rows) == 10
    assert counts[part.rows.codes].min() >= np.delete(counts, part.rows.codes).max()
    assert "of 28 items touched, the 10 most touched" in run.warnings[0]
    assert "item_knn" in run.warnings[0]
    narrow = noise()
    assert Ease(max_items=28).fit(narrow, Run()).weights.shape == (28, 28)


def test_the_largest_weight_explains():
    world = checkerboard()
    part = Ease(l2=5.0).fit(world.data, Run())
    slates = part(world.queries, Slates.empty(len(world.queries)))
    because = part.because(world.queries, slates)
    assert (because[slates.ranks() == 0] % 2 == np.arange(len(world.queries)) % 2).all()
    last = slates.items[slates.offsets[1:] - 1]
    assert (last % 2 != np.arange(len(world.queries)) % 2).all()
    assert (because[slates.offsets[1:] - 1] == -1).all(), "nothing speaks for the other colour"
