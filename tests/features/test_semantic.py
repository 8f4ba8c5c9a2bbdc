from dataclasses import replace

import numpy as np
import pytest

from polyscene.core.arrays import Ragged
from polyscene.core.catalogue import Catalogue, Column
from polyscene.core.contracts import State
from polyscene.core.errors import BundleError
from polyscene.core.rows import Rows
from polyscene.features.item_space import ItemSpace
from polyscene.features.semantic import SemanticIds
from polyscene.nn.semantic_ids import residual_kmeans, with_ordinals


def catalogue(size):
    genre = np.arange(size, dtype=np.int32) % 6
    words = tuple(f"genre {number}" for number in range(6))
    return replace(Catalogue.bare(size), columns={"genre": Column("category", genre, words)})


@pytest.fixture(scope="module")
def given():
    rng = np.random.default_rng(0)
    rows = Rows(np.arange(0, 60, dtype=np.int32))
    walks = Ragged.of([rng.integers(0, 10, 8) * 6 + user % 6 for user in range(300)])
    space, vectors = ItemSpace(content=8, behaviour=8).fit(catalogue(60), rows.codes, walks, seed=0)
    quantiser = residual_kmeans(vectors, 2, 6, seed=0)
    semantic = quantiser.codes(vectors)
    quality = quantiser.quality(vectors, semantic)
    return SemanticIds(rows, with_ordinals(semantic), space, quantiser, quality)


def test_every_item_has_an_id_of_its_own(given):
    rows, ids = given.over(catalogue(90))
    assert len(rows) == len(np.unique(ids, axis=0)) == 90


def test_later_items_leave_older_ids_alone(given):
    rows, ids = given.over(catalogue(90))
    np.testing.assert_array_equal(ids[:60], given.ids)
    fewer, some = given.over(catalogue(75))
    np.testing.assert_array_equal(some, ids[:75])
    np.testing.assert_array_equal(fewer.codes, rows.codes[:75])


def test_a_later_item_joins_its_kind(given):
    _, ids = given.over(catalogue(90))
    known = {tuple(each) for each in given.ids[:, :-1].tolist()}
    for code in range(60, 90):
        prefix = tuple(ids[code, :-1].tolist())
        assert prefix in known
        kinds = np.flatnonzero((given.ids[:, :-1] == prefix).all(1)) % 6
        assert code % 6 in kinds


def test_other_rows_keep_their_ids(given):
    rows, ids = given.over(catalogue(90))
    kept = given.kept(catalogue(90), Rows(np.array([3, 64, 70], np.int32)))
    np.testing.assert_array_equal(kept.ids, ids[rows.of(np.array([3, 64, 70]))])
    everything, all_ids = kept.over(catalogue(90))
    assert len(np.unique(all_ids, axis=0)) == len(everything) == 90


def test_without_any_id_nothing_can_be_joined(given):
    nothing = SemanticIds(
        Rows(np.zeros(0, np.int32)), given.ids[:0], given.space, given.quantiser, given.quality
    )
    assert len(nothing.over(catalogue(5))[0]) == 0


def test_it_is_loaded_as_it_was(given):
    loaded = SemanticIds.load(ItemSpace(content=8, behaviour=8), given.state())
    for left, right in zip(loaded.over(catalogue(90)), given.over(catalogue(90)), strict=True):
        np.testing.assert_array_equal(getattr(left, "codes", left), getattr(right, "codes", right))
    assert loaded.quality == given.quality


@pytest.mark.parametrize("name", ["codes", "ids", "codebooks"])
def test_a_missing_tensor_is_named(given, name):
    state = given.state()
    tensors = {key: each for key, each in state.tensors.items() if key != name}
    with pytest.raises(BundleError, match=f"'{name}' is missing"):
        SemanticIds.load(ItemSpace(), State(tensors, state.meta))
