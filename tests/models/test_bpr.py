import numpy as np
import pytest
import torch
from scipy import sparse
from sklearn.linear_model import Ridge

from polyscene.core.contracts import Run
from polyscene.core.queries import Queries, history_of
from polyscene.core.rows import Rows
from polyscene.dataset.matrix import interactions
from polyscene.models import bpr
from polyscene.models.bpr import Bpr, Network, means, pairs
from polyscene.nn.bags import Bag
from polyscene.testing.worlds import ask, noise


@pytest.fixture
def touched():
    seen = np.random.default_rng(0).random((6, 12)) < 0.4
    return sparse.csr_matrix(seen.astype(np.float32))


def bag_of(touched, users):
    return Bag.of(touched, np.array(users), torch.device("cpu"))


def test_the_loss_is_the_mean_over_pairs_written_out(touched):
    """With so many draws that every untouched item comes about equally often."""
    network = Network(3, touched.shape, torch.Generator().manual_seed(0))
    with torch.no_grad():
        network.users *= 3
        network.bias += torch.arange(12) / 10
    users = [4, 1]
    expected = []
    scores = (network.users @ network.items.T + network.bias).detach()
    for user in users:
        own = touched[user].indices.tolist()
        for item in own:
            for other in range(12):
                margin = scores[user, item] - scores[user, other]
                expected.append(0.0 if other in own else float(-torch.nn.functional.logsigmoid(margin)))
    found = pairs(network, bag_of(touched, users), 4000).item()
    assert found == pytest.approx(np.mean(expected), rel=0.02)


def test_a_pool_smaller_than_the_catalogue_gives_the_same_in_the_mean(touched, monkeypatch):
    network = Network(3, touched.shape, torch.Generator().manual_seed(0))
    bag = bag_of(touched, [4, 1])
    whole = pairs(network, bag, 4000).item()
    monkeypatch.setattr(bpr, "POOL", 5)
    assert np.mean([pairs(network, bag, 50).item() for _ in range(200)]) == pytest.approx(whole, rel=0.05)


def test_what_the_user_touched_is_no_negative():
    everything = sparse.csr_matrix(np.ones((2, 5), np.float32))
    network = Network(3, (2, 5), torch.Generator().manual_seed(0))
    assert pairs(network, bag_of(everything, [0, 1]), 8).item() == 0


def test_means_are_those_of_distinct_known_items(touched):
    vectors = np.random.default_rng(1).standard_normal((12, 3)).astype(np.float32)
    touched = sparse.vstack([touched, sparse.csr_matrix((1, 12), dtype=np.float32)]).tocsr()
    found = means(touched, vectors)
    for user in range(6):
        own = vectors[touched[user].indices]
        np.testing.assert_allclose(found[user], [*own.mean(0), 1], rtol=1e-5, atol=1e-6)
    assert not found[6].any()


def test_the_fold_in_is_the_least_squares_one():
    """What a fit of scikit-learn's finds too, for users in training and strangers alike."""
    data = noise(users=80)
    chance = torch.Generator().manual_seed(3)
    rows = Rows(np.unique(data.histories["item"]))
    seen = interactions(data.histories, rows)
    network = Network(4, seen.shape, chance)
    part = bpr._part(rows, network, seen)
    mean = means(seen, network.items.detach().numpy())
    peer = Ridge(alpha=bpr.RIDGE, fit_intercept=False).fit(mean, network.users.detach().numpy())
    queries = Queries.of_histories(history_of([[3, 5], [], [29, -1]]), data.size)
    vectors = part.query_vectors(queries)
    expected = peer.predict(means(interactions(queries.history, rows), network.items.detach().numpy()))
    np.testing.assert_allclose(vectors[0, :-1], expected[0], rtol=1e-3, atol=1e-5)
    assert not vectors[1:].any()


def test_scores_are_inner_products_of_vectors():
    data = noise()
    part = Bpr(dim=4, epochs=2).fit(data, Run(seed=1, threads=1))
    queries = Queries.of_histories(history_of([[3, 5], [], [29, -1]]), data.size)
    codes, vectors = part.item_vectors()
    asked = part.query_vectors(queries)
    block = part.score_all(queries)
    np.testing.assert_allclose(block[0, codes], vectors @ asked[0], rtol=1e-5)
    assert np.isneginf(block[1:]).all()


def test_a_warm_start_goes_on_where_the_older_part_stood():
    data = noise()
    older = Bpr(dim=4, epochs=30).fit(data, Run(seed=1, threads=1))
    again = Bpr(dim=4, epochs=0).fit(data, Run(seed=2, threads=1), older)
    np.testing.assert_array_equal(again.vectors, older.vectors)
    np.testing.assert_allclose(again.score_all(ask(data)), older.score_all(ask(data)), rtol=0.05, atol=0.05)
