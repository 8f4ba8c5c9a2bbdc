import numpy as np
import pytest

from polyscene.core.contracts import Run
from polyscene.core.queries import Queries, history_of
from polyscene.models import user_knn
from polyscene.models.user_knn import UserKnn
from polyscene.testing.worlds import ask, noise

from .test_ease import seen_matrix


def naive(config, seen, history):
    """(I,) scores for one history."""
    lengths = seen.sum(1)
    if config.similarity == "cosine":
        alike = (seen @ history) / (np.sqrt(lengths * history.sum()) + config.shrink)
    else:
        norm = config.k1 * (1 - config.b + config.b * lengths / lengths.mean())
        alike = (seen * np.log1p(len(seen) / (1 + seen.sum(0)))) @ history * (config.k1 + 1) / (norm + 1)
    near = np.argsort(-alike, kind="stable")[: config.neighbours]
    return alike[near] @ seen[near]


@pytest.mark.parametrize("cells", [90, user_knn.BLOCK_CELLS])
@pytest.mark.parametrize("config", [UserKnn(neighbours=5), UserKnn(shrink=3.0), UserKnn(similarity="bm25")])
def test_equals_the_dense_form_in_blocks_of_any_size(config, cells, monkeypatch):
    monkeypatch.setattr(user_knn, "BLOCK_CELLS", cells)
    data = noise()
    seen = seen_matrix(data)
    block = config.fit(data, Run()).score_all(ask(data))
    for row in range(len(data.users)):
        expected = naive(config, seen, seen[row])
        np.testing.assert_allclose(block[row][expected > 0], expected[expected > 0], rtol=1e-4)
        assert np.isneginf(block[row][expected == 0]).all()


def test_the_code_of_the_user_is_not_read():
    data = noise()
    part = UserKnn().fit(data, Run())
    history = data.histories.take(np.array([4]))
    stranger = part.score_all(Queries.of_histories(history, data.size))
    np.testing.assert_array_equal(stranger, part.score_all(ask(data).take(np.array([4]))))


def test_a_history_that_nobody_shares_is_left_unscored():
    data = noise()
    part = UserKnn().fit(data, Run())
    block = part.score_all(Queries.of_histories(history_of([[29], []]), data.size))
    assert np.isneginf(block).all()
