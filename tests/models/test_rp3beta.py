import numpy as np
import pytest

from polyscene.core.contracts import Run
from polyscene.core.queries import Queries, history_of
from polyscene.models.rp3beta import Rp3Beta
from polyscene.testing.worlds import noise

from .test_ease import seen_matrix


def naive(config, seen):
    """(R, R) chance of the walk from row over a user to column, each column its likeliest starts only."""
    to_users = (seen.T / seen.sum(0)[:, None]) ** config.alpha
    to_items = (seen / seen.sum(1, keepdims=True)) ** config.alpha
    walks = to_users @ to_items / seen.sum(0) ** config.beta
    np.fill_diagonal(walks, 0)
    for column in walks.T:
        column[np.argsort(-column, kind="stable")[config.neighbours :]] = 0
    return walks


@pytest.mark.parametrize(
    "config", [Rp3Beta(), Rp3Beta(neighbours=5, alpha=1.7, beta=0.6), Rp3Beta(beta=0.0)]
)
def test_equals_the_plain_walk(config):
    data = noise()
    part = config.fit(data, Run())
    expected = naive(config, seen_matrix(data)[:, part.rows.codes])
    np.testing.assert_allclose(part.weights.toarray(), expected, rtol=1e-4, atol=1e-7)


def test_without_loss_of_chance_all_walks_from_an_item_end_somewhere():
    """With alpha 1, beta 0 and every neighbour kept, a row and the walks back home sum to 1."""
    data = noise()
    part = Rp3Beta(neighbours=100, beta=0.0).fit(data, Run())
    seen = seen_matrix(data)[:, part.rows.codes]
    home = np.diag((seen.T / seen.sum(0)[:, None]) @ (seen / seen.sum(1, keepdims=True)))
    np.testing.assert_allclose(part.weights.sum(axis=1).A1 + home, 1, rtol=1e-5)


def test_what_no_walk_reaches_is_left_unscored():
    data = noise()
    block = Rp3Beta().fit(data, Run()).score_all(Queries.of_histories(history_of([[], [29]]), data.size))
    assert np.isneginf(block).all()
