from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import sparse
from sklearn.linear_model import Ridge

from polyscene.core.arrays import Ragged, RaggedTable
from polyscene.core.contracts import Rates, Run
from polyscene.core.queries import Queries, history_of
from polyscene.dataset.matrix import interactions
from polyscene.models.svd import Network, Svd
from polyscene.nn.bags import Bag
from polyscene.testing.worlds import ask, noise


@pytest.fixture
def rated():
    rng = np.random.default_rng(0)
    values = rng.integers(1, 6, (6, 9)) * (rng.random((6, 9)) < 0.5)
    return sparse.csr_matrix(values.astype(np.float32))


def network(config, shape):
    made = Network(config, shape, 3.5, torch.Generator().manual_seed(0))
    with torch.no_grad():
        for each in made.parameters():
            each.add_(torch.linspace(-1, 1, each.numel()).view_as(each))
    return made


@pytest.mark.parametrize("implicit", [False, True])
def test_predictions_and_loss_are_those_of_the_paper_written_out(rated, implicit):
    config = Svd(dim=3, implicit=implicit, ridge=0.3)
    net = network(config, rated.shape)
    p, q, b, c = (each.detach().numpy() for each in (net.users, net.items, net.user_bias, net.item_bias))
    y = net.implied.detach().numpy() if implicit else np.zeros((9, 3))
    users = [5, 0, 2]
    expected, ratings, squares = [], [], 0.0
    for user in users:
        own = rated[user].indices
        taste = p[user] + y[own].sum(0) / np.sqrt(len(own))
        for item, rating in zip(own, rated[user].data, strict=True):
            expected.append(3.5 + b[user] + c[item] + q[item] @ taste)
            ratings.append(rating)
            squares += (p[user] ** 2).sum() + b[user] ** 2 + (q[item] ** 2).sum() + c[item] ** 2
            squares += (y[item] ** 2).sum()
    bag = Bag.of(rated, np.array(users), torch.device("cpu"))
    np.testing.assert_allclose(net(bag).detach().numpy(), expected, rtol=1e-5)
    error = np.square(np.array(expected) - ratings).sum()
    found = net.loss(bag, torch.tensor(ratings), 0.3).item()
    assert found == pytest.approx((error + 0.3 * squares) / len(ratings), rel=1e-5)


@pytest.mark.parametrize("implicit", [False, True])
def test_a_history_is_folded_in_by_the_ridge_regression_of_its_ratings(implicit):
    data = noise()
    part = Svd(dim=3, implicit=implicit, epochs=10).fit(data, Run(seed=1, threads=1))
    seen = interactions(data.histories, part.rows, weighted=True)
    found = part.query_vectors(ask(data))
    for user in range(0, len(data.users), 5):
        own, ratings = seen[user].indices, seen[user].data
        items, bias = part.vectors[own, :-1], part.vectors[own, -1]
        given = part.implied[own].sum(0) / np.sqrt(len(own)) if implicit else np.zeros(3)
        inputs = np.column_stack([items, np.ones(len(own))])
        left = ratings - part.scale[0] - bias - items @ given
        peer = Ridge(alpha=part.ridge * len(own), fit_intercept=False).fit(inputs, left)
        expected = [*(given + peer.coef_[:3]), 1, part.scale[0] + peer.coef_[3]]
        np.testing.assert_allclose(found[user], expected, rtol=1e-3, atol=1e-4)


def test_ratings_of_a_world_of_few_tastes_are_foretold():
    """Two kinds of people and of items: 5 where they fit, 1 where not; a fifth is withheld."""
    rng = np.random.default_rng(0)
    lists, values, asked, truth = [], [], [], []
    for user in range(60):
        items = rng.permutation(30)
        lists.append(items[:24].tolist())
        values += [5 if (item + user) % 2 else 1 for item in items[:24]]
        asked.append(items[24:].tolist())
        truth += [5 if (item + user) % 2 else 1 for item in items[24:]]
    data = noise(users=60)
    table = history_of(lists)
    columns = {**table.columns, "value": np.array(values, np.float32)}
    histories = RaggedTable(table.offsets, columns)
    part = Svd(dim=4, epochs=60, ridge=0.01).fit(replace(data, histories=histories), Run(threads=1))
    assert isinstance(part, Rates)
    found = part.rate(Queries.of_histories(histories, data.size), Ragged.of(asked))
    assert np.abs(found - truth).mean() < 0.3
    assert found.max() <= 5
    assert found.min() >= 1


def test_strange_items_and_people_get_the_mean():
    data = noise()
    part = Svd(dim=3, epochs=5).fit(data, Run(threads=1))
    queries = Queries.of_histories(history_of([[], [-1, 29]]), data.size)
    known = int(part.rows.codes[0])
    found = part.rate(queries, Ragged.of([[29, known], [-1, 1000]]))
    mean = part.scale[0]
    np.testing.assert_allclose(found, [mean, mean + part.vectors[0, -1], mean, mean], rtol=1e-6)
    assert not part.query_vectors(queries).any()


def test_scores_are_inner_products_and_order_as_ratings_do():
    data = noise()
    part = Svd(dim=3, epochs=5, implicit=True).fit(data, Run(threads=1))
    queries = ask(data)
    codes, vectors = part.item_vectors()
    block = part.score_all(queries)
    np.testing.assert_allclose(block[:, codes], part.query_vectors(queries) @ vectors.T, rtol=1e-5)
    foretold = part.rate(queries, Ragged.of([codes.tolist()] * len(queries)))
    expected = np.clip(block[:, codes], part.scale[1], part.scale[2]).ravel()
    np.testing.assert_allclose(foretold, expected, rtol=1e-5)


def test_a_warm_start_keeps_the_items():
    data = noise()
    config = Svd(dim=3, implicit=True, epochs=8)
    older = config.fit(data, Run(seed=1, threads=1))
    again = Svd(dim=3, implicit=True, epochs=0).fit(data, Run(seed=2, threads=1), older)
    np.testing.assert_array_equal(again.vectors, older.vectors)
    np.testing.assert_array_equal(again.implied, older.implied)
