import numpy as np
import pytest

from polyscene.core.contracts import Run
from polyscene.core.queries import Queries, history_of
from polyscene.core.slates import Slates
from polyscene.models.item_knn import ItemKnn
from polyscene.testing.worlds import noise

from .test_ease import seen_matrix


def naive(config, data):
    """(I, I) similarity of row to candidate column, each column its nearest only."""
    seen = seen_matrix(data)
    alike = seen.T @ seen
    size = np.sqrt(np.diag(alike))
    alike = alike / np.maximum(np.outer(size, size) + config.shrink, 1e-9)
    np.fill_diagonal(alike, 0)
    for column in alike.T:
        column[np.argsort(-column, kind="stable")[config.neighbours :]] = 0
    return alike


@pytest.mark.parametrize("config", [ItemKnn(neighbours=4), ItemKnn(shrink=0.0)])
def test_equals_the_plain_form(config):
    data = noise()
    part = config.fit(data, Run())
    expected = naive(config, data)
    codes = part.rows.codes
    np.testing.assert_allclose(part.weights.toarray(), expected[np.ix_(codes, codes)], rtol=1e-5, atol=1e-6)
    block = part.score_all(Queries.of_histories(history_of([[3, 5, 3], []]), data.size))
    sums = expected[3] + expected[5]
    np.testing.assert_allclose(block[0][sums > 0], sums[sums > 0], rtol=1e-5)
    assert np.isneginf(block[0][sums == 0]).all()
    assert np.isneginf(block[1]).all()


def test_the_most_alike_item_explains():
    data = noise()
    part = ItemKnn(shrink=0.0).fit(data, Run())
    queries = Queries.of_histories(history_of([[3, 5, 8, 29]]), data.size)
    slates = part(queries, Slates.empty(1))
    shares = naive(ItemKnn(shrink=0.0), data)[[3, 5, 8]][:, slates.items]
    assert part.because(queries, slates).tolist() == np.array([3, 5, 8])[shares.argmax(0)].tolist()
