"""The approximate index is held to the exact one."""

from collections.abc import Callable

import numpy as np
import pytest

from polyscene.core.arrays import Floats, Ragged
from polyscene.core.queries import Eligible
from polyscene.retrieve.ann import RECALL_FLOOR, Ann
from polyscene.retrieve.exact import Exact

COUNT, DIM, K = 4_000, 16, 20


@pytest.fixture(scope="module")
def clustered() -> Floats:
    """Vectors around 40 centres, which is what item vectors look like."""
    rng = np.random.default_rng(1)
    centres = rng.normal(size=(40, DIM))
    vectors = centres[rng.integers(0, 40, COUNT)] + 0.3 * rng.normal(size=(COUNT, DIM))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="module")
def index(clustered: Floats) -> Ann:
    return Ann.build(np.arange(COUNT, dtype=np.int32), clustered)


def recall(index: Ann, exact: Exact, queries: Floats, allowed: Eligible, exclude: Ragged) -> float:
    found = index.search(queries, K, allowed, exclude)
    truth = exact.search(queries, K, allowed, exclude)
    hits = [len(set(found.of(row)) & set(truth.of(row))) for row in range(len(queries))]
    return sum(hits) / max(1, len(truth.items))


def test_finds_what_the_exact_index_finds(index: Ann, clustered: Floats) -> None:
    assert index.cells is not None
    assert RECALL_FLOOR <= index.recall <= 1
    exact = Exact(np.arange(COUNT, dtype=np.int32), clustered)
    queries = clustered[::40] + 0.01
    about = Eligible.all(len(queries), COUNT), Ragged.of([np.arange(row) for row in range(len(queries))])
    assert recall(index, exact, queries, *about) >= 0.9
    found = index.search(queries, K, *about)
    for row in range(len(queries)):
        assert not set(found.of(row)) & set(range(row))
    scores = (queries[found.rows()] * clustered[found.items]).sum(1)
    np.testing.assert_allclose(found.scores, scores, atol=1e-5)
    assert (np.diff(found.scores)[np.diff(found.rows()) == 0] <= 0).all()


def test_filters_are_pushed_down(index: Ann, clustered: Floats) -> None:
    masks = np.zeros((2, COUNT), bool)
    masks[0, ::7] = True
    masks[1, 5] = True
    allowed = Eligible(masks, np.arange(60) % 2)
    found = index.search(clustered[:60], K, allowed, Ragged.empty(60))
    assert set(found.items[found.rows() % 2 == 1].tolist()) <= {5}
    assert (found.items[found.rows() % 2 == 0] % 7 == 0).all()
    # Many are left in the cells it probes: a filter after the search would leave K / 7.
    assert found.lengths[::2].mean() > K / 2


def test_a_new_item_is_found_and_a_removed_one_is_not(index: Ann, clustered: Floats) -> None:
    query = clustered[17:18]
    about = Eligible.all(1, COUNT + 5), Ragged.empty(1)
    assert index.search(query, K, *about).of(0)[0] == 17
    later = index.with_items(np.array([COUNT + 1], np.int32), 2 * query)
    assert later.search(query, K, *about).of(0)[:2].tolist() == [COUNT + 1, 17]
    gone = later.without(np.array([17, COUNT + 1], np.int32))
    assert not {17, COUNT + 1} & set(gone.search(query, K, *about).of(0).tolist())
    assert index.search(query, K, *about).of(0)[0] == 17


def test_a_changed_vector_replaces_the_old_one(index: Ann, clustered: Floats) -> None:
    changed = index.with_items(np.array([17], np.int32), -clustered[17:18])
    found = changed.search(clustered[17:18], K, Eligible.all(1, COUNT), Ragged.empty(1))
    assert 17 not in found.of(0).tolist()


def test_what_it_cannot_find_well_it_looks_up_exactly(unit_vectors: Callable[..., Floats]) -> None:
    vectors = unit_vectors(2_000, 64)
    index = Ann.build(np.arange(2_000, dtype=np.int32), vectors)
    assert (index.cells is None) == (index.probes == 0)
    exact = Exact(np.arange(2_000, dtype=np.int32), vectors)
    about = Eligible.all(50, 2_000), Ragged.empty(50)
    assert recall(index, exact, vectors[:50], *about) == 1.0
    gone = index.without(np.array([3], np.int32))
    assert 3 not in gone.search(vectors[3:4], K, Eligible.all(1, 2_000), Ragged.empty(1)).of(0)


def test_few_vectors_need_no_cells(unit_vectors: Callable[..., Floats]) -> None:
    index = Ann.build(np.arange(10, dtype=np.int32), unit_vectors(10, 4))
    assert index.cells is None
    assert index.recall == 1.0
