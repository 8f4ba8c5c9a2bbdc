import numpy as np
import pytest

from polyscene.core.rows import Rows
from polyscene.nn import gram as gram_module
from polyscene.nn import item_weights
from polyscene.nn.gram import gram
from polyscene.nn.item_weights import nearest
from polyscene.testing.worlds import noise


def shared(data, rows, weights):
    """(R, R) users who touched both items, each counted with its weight."""
    seen = np.zeros((len(data.users), data.size))
    seen[data.histories.rows(), data.histories["item"]] = 1
    seen = seen[:, rows.codes]
    return seen.T @ (seen * weights[:, None])


def lopsided(counts, froms, tos):
    return counts * (1.0 + froms % 3) / (1.0 + tos % 5)


@pytest.fixture
def world():
    data = noise()
    rows = Rows(np.unique(data.histories["item"]))
    return data, rows, np.random.default_rng(5).random(len(data.users)).astype(np.float32)


@pytest.mark.parametrize("cells", [40, 10_000])
def test_pairs_are_counted_by_weight_in_blocks_of_any_size(world, cells, monkeypatch):
    monkeypatch.setattr(gram_module, "GRAM_CELLS", cells)
    monkeypatch.setattr(gram_module, "PANEL", 7)
    data, rows, weights = world
    np.testing.assert_allclose(gram(data.histories, rows, weights), shared(data, rows, weights), rtol=1e-5)
    np.testing.assert_array_equal(gram(data.histories, rows), shared(data, rows, np.ones(len(data.users))))


@pytest.mark.parametrize("dense", [0, 1000])
@pytest.mark.parametrize("cells", [40, 1_000_000])
@pytest.mark.parametrize("weighted", [False, True])
def test_the_nearest_are_those_of_the_plain_form(world, dense, cells, weighted, monkeypatch):
    monkeypatch.setattr(item_weights, "DENSE_ITEMS", dense)
    monkeypatch.setattr(item_weights, "CHUNK_CELLS", cells)
    data, rows, weights = world
    every = np.arange(len(rows))
    counts = shared(data, rows, weights if weighted else np.ones(len(data.users)))
    expected = lopsided(counts, every[:, None], every)
    np.fill_diagonal(expected, 0)
    for column in expected.T:
        column[np.argsort(-column, kind="stable")[4:]] = 0
    found = nearest(data.histories, rows, lopsided, 4, weights if weighted else None)
    np.testing.assert_allclose(found.toarray(), expected, rtol=1e-5)
