import numpy as np
import pytest
from implicit.nearest_neighbours import bm25_weight

from polyscene.core.contracts import Run
from polyscene.models.bm25_knn import Bm25Knn
from polyscene.testing.worlds import noise

from .test_ease import seen_matrix


def naive(config, data):
    """(I, I) summed products of both items' BM25 weights, each column its nearest only."""
    seen = seen_matrix(data)
    lengths = seen.sum(1, keepdims=True)
    norm = config.k1 * (1 - config.b + config.b * lengths / lengths.mean())
    weights = seen * (config.k1 + 1) / (norm + 1) * np.log1p(len(seen) / (1 + seen.sum(0)))
    alike = weights.T @ weights
    np.fill_diagonal(alike, 0)
    for column in alike.T:
        column[np.argsort(-column, kind="stable")[config.neighbours :]] = 0
    return alike


@pytest.mark.parametrize("config", [Bm25Knn(neighbours=6, b=0.3), Bm25Knn(k1=40.0)])
def test_equals_the_plain_form(config):
    data = noise()
    part = config.fit(data, Run())
    codes = part.rows.codes
    expected = naive(config, data)[np.ix_(codes, codes)]
    np.testing.assert_allclose(part.weights.toarray(), expected, rtol=1e-5, atol=1e-6)


def test_a_match_weighs_as_in_the_peer_library():
    """Its idf differs: there it falls to 0 for what nearly all users touched, ours stays above."""
    data = noise()
    part = Bm25Knn(neighbours=50, k1=1.7, b=0.4).fit(data, Run())
    seen = seen_matrix(data)[:, part.rows.codes]
    peer = bm25_weight(seen, K1=1.7, B=0.4).toarray() / (np.log(len(seen)) - np.log1p(seen.sum(0)))
    weights = peer * np.log1p(len(seen) / (1 + seen.sum(0)))
    expected = weights.T @ weights
    np.fill_diagonal(expected, 0)
    np.testing.assert_allclose(part.weights.toarray(), expected, rtol=1e-5, atol=1e-6)
