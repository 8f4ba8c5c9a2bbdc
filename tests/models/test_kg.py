from dataclasses import replace

import numpy as np
import pytest
import torch

from polyscene.core.contracts import Edges, Run
from polyscene.models.kg import Kg, Network, overlap
from polyscene.nn.pairs import Pairs, Touched
from polyscene.nn.triples import Triples
from polyscene.testing.worlds import ask, noise


def facts(data):
    """Every item is of one of three makers, who sit in two towns."""
    items = np.unique(data.histories["item"])
    source = [f"i{code}" for code in items] + [f"maker{number}" for number in range(3)]
    target = [f"maker{code % 3}" for code in items] + [f"town{number % 2}" for number in range(3)]
    codes = np.full((len(source), 2), -1, np.int32)
    codes[: len(items), 0] = items
    relation = ["by"] * len(items) + ["in"] * 3
    return Edges(
        *(np.array(column, object) for column in (source, relation, target)),
        np.ones(len(source), np.float32),
        np.full_like(codes, -1),
        codes,
    )


@pytest.fixture(scope="module")
def data():
    bare = noise()
    return replace(bare, edges=facts(bare))


def network(data, **settings):
    touched = Touched.of(data)
    config = Kg(**{"dim": 4, "dropout": 0.0, **settings})
    triples = Triples.near(touched.items, data.edges, config.layers)
    return touched, triples, Network(config, touched, triples, torch.Generator().manual_seed(0))


def slow_layers(net, triples):
    """Each step written out, fact by fact."""
    found = [net.entities.detach().numpy()]
    relations = net.relations.detach().numpy()
    for _ in range(net.config.layers):
        told = np.zeros_like(found[0])
        for entity in range(triples.entities):
            mine = np.flatnonzero(triples.heads == entity)
            if len(mine):
                mean = np.mean(relations[triples.relations[mine]] * found[-1][triples.tails[mine]], axis=0)
                told[entity] = mean / np.linalg.norm(mean)
        found.append(told)
    return found


def test_items_are_what_the_facts_say_and_users_what_their_items_say(data):
    touched, triples, net = network(data)
    layers, count = slow_layers(net, triples), len(touched.items)
    part = net.part()
    np.testing.assert_allclose(part.items, sum(layers)[:count], rtol=1e-4, atol=1e-5)
    words = sum(layers[:-1])[:count]
    mixtures = np.exp(net.mixtures.detach().numpy())
    intents = mixtures / mixtures.sum(1, keepdims=True) @ net.relations.detach().numpy()
    users = net.users.detach().numpy()
    vectors = part.query_vectors(ask(data))
    for row in (0, 5, 11):
        weight = np.exp(intents @ users[row])
        taste = 1 + weight / weight.sum() @ intents
        history = touched.cells[row].indices
        expected = users[row] + taste * words[history].mean(0)
        np.testing.assert_allclose(vectors[row], expected, rtol=1e-4, atol=1e-5)


def test_translation_and_distance_between_intents_weigh_in(data):
    touched, _, plain = network(data, apart=0.0)
    batch = next(
        Pairs(touched.cells, batch_size=30, negatives=1, seed=0, device=torch.device("cpu")).epoch(0)
    )
    for settings in ({"apart": 1.0}, {"apart": 0.0, "translation": 1.0}):
        assert network(data, **settings)[2].loss(batch) > plain.loss(batch)


def test_overlap_is_zero_for_intents_at_right_angles():
    assert overlap(torch.diag(torch.tensor([2.0, 3.0]))) == 0
    torch.testing.assert_close(overlap(torch.tensor([[1.0, 0.0], [1.0, 1.0]])), torch.tensor(0.5))


def test_a_graph_changes_the_answer_and_can_be_left_out(data):
    small = {"dim": 4, "epochs": 3, "batch_size": 64}
    with_graph, without, bare = (
        Kg(**small, graph=graph).fit(each, Run())
        for graph, each in ((True, data), (False, data), (True, noise()))
    )
    queries = ask(data)
    assert not np.allclose(with_graph.score_all(queries), without.score_all(queries))
    np.testing.assert_array_equal(bare.score_all(queries), without.score_all(queries))


def test_a_graph_about_nothing_known_is_told():
    run = Run()
    Kg(dim=4, epochs=1).fit(noise(), run)
    assert any("no edge is about an item" in line for line in run.warnings)
