from dataclasses import replace

import numpy as np
import pytest
import torch

from polyscene.core.contracts import Edges, Run
from polyscene.models.social import Network, Social, trusted
from polyscene.nn.pairs import Touched
from polyscene.testing.worlds import ask, noise


def edges_of(pairs, weights=None):
    codes = np.array(pairs, np.int32)
    ids = np.array([f"u{code}" for code in codes.ravel()], object).reshape(codes.shape)
    weight = np.ones(len(codes), np.float32) if weights is None else np.array(weights, np.float32)
    relation = np.full(len(codes), "trusts", object)
    return Edges(ids[:, 0], relation, ids[:, 1], weight, codes, np.full_like(codes, -1))


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    return replace(noise(), edges=edges_of(rng.integers(0, 40, (90, 2)), rng.random(90) + 0.1))


def test_only_edges_between_two_known_users_are_trust():
    edges = edges_of([[0, 1], [1, 1], [2, -1], [3, 99], [1, 0], [0, 1]], [1, 1, 1, 1, 0, 2])
    assert dict(trusted(Touched.of(noise()).users, edges).todok().items()) == {(0, 1): 3.0}


def test_what_users_have_of_their_own_and_from_others_is_that_written_out(data):
    touched = Touched.of(data)
    links = trusted(touched.users, data.edges)
    net = Network(Social(dim=4, layers=2), touched, links, torch.Generator().manual_seed(0))
    np.testing.assert_array_equal(net.part().people.own, net.users.detach().numpy())
    net.heard.data.normal_(generator=torch.Generator().manual_seed(1))
    heard = net.heard.detach().numpy()
    users, items, weights = net.users.detach().numpy(), net.items.detach().numpy(), links.toarray()
    passed = users + np.array([items[touched.cells[row].indices].mean(0) for row in range(40)])
    own = users.copy()
    for step in range(2):
        passed = np.array([row @ passed / max(row.sum(), 1e-9) for row in weights])
        own += heard[step] * passed
    part = net.part()
    np.testing.assert_allclose(part.people.own, own, rtol=1e-4, atol=1e-5)
    vectors = part.query_vectors(ask(data))
    history = touched.cells[3].indices
    np.testing.assert_allclose(vectors[3], own[3] + part.items[history].mean(0), rtol=1e-4, atol=1e-5)


def test_trust_changes_the_answer_and_can_be_left_out(data):
    small = {"dim": 4, "epochs": 3, "batch_size": 64}
    with_trust, without, bare = (
        Social(**small, trust=trust).fit(each, Run())
        for trust, each in ((True, data), (False, data), (True, noise()))
    )
    queries = ask(data)
    assert not np.allclose(with_trust.score_all(queries), without.score_all(queries))
    np.testing.assert_array_equal(bare.score_all(queries), without.score_all(queries))


def test_trust_among_strangers_is_told():
    run = Run()
    Social(dim=4, epochs=1).fit(noise(), run)
    assert any("no edge joins two users" in line for line in run.warnings)
