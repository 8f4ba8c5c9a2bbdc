from dataclasses import replace

import numpy as np
import pytest

from polyscene.core.arrays import Ragged
from polyscene.core.catalogue import Catalogue, Column
from polyscene.core.contracts import State
from polyscene.core.errors import BundleError
from polyscene.features.item_space import ItemSpace

COUNT = 60


def world(seed=0):
    """Items of 6 genres; walks stay in one genre."""
    rng = np.random.default_rng(seed)
    genre = np.arange(COUNT, dtype=np.int32) % 6
    words = tuple(f"genre {number}" for number in range(6))
    catalogue = replace(Catalogue.bare(COUNT), columns={"genre": Column("category", genre, words)})
    walks = [rng.integers(0, COUNT // 6, 8) * 6 + user % 6 for user in range(300)]
    return catalogue, np.arange(COUNT, dtype=np.int32), Ragged.of(walks)


@pytest.fixture(scope="module")
def fitted():
    return ItemSpace(content=8, behaviour=8).fit(*world(), seed=0)


def test_content_and_behaviour_weigh_as_asked(fitted):
    space, vectors = fitted
    width = space.guess.shape[0]
    content, behaviour = (vectors[:, :width] ** 2).sum(), (vectors[:, width:] ** 2).sum()
    assert content == pytest.approx(behaviour, rel=1e-3)
    assert (vectors**2).mean() == pytest.approx(1, rel=1e-3)
    even = ItemSpace(content=8, behaviour=8, weight=0.8).fit(*world(), seed=0)[1]
    assert (even[:, :width] ** 2).sum() == pytest.approx(4 * (even[:, width:] ** 2).sum(), rel=1e-3)


def test_without_content_behaviour_is_all():
    catalogue, codes, walks = world()
    space, vectors = ItemSpace(behaviour=8).fit(Catalogue.bare(COUNT), codes, walks, seed=0)
    assert vectors.shape == (COUNT, 8)
    assert (vectors**2).mean() == pytest.approx(1, rel=1e-3)
    assert not space.vectors(catalogue, codes).any()


def test_an_item_without_behaviour_is_guessed_to_be_treated_like_its_kind(fitted):
    space, vectors = fitted
    catalogue, codes, _ = world()
    guessed = space.vectors(catalogue, codes)
    own = np.stack([vectors[codes % 6 == genre].mean(0) for genre in range(6)])
    nearest = ((guessed[:, None] - own) ** 2).sum(2).argmin(1)
    np.testing.assert_array_equal(nearest, codes % 6)


def test_nothing_known_is_the_mean(fitted):
    assert not fitted[0].vectors(Catalogue.bare(70), np.array([65, -1], np.int32)).any()


def test_it_is_loaded_as_it_was(fitted):
    space, _ = fitted
    catalogue, codes, _ = world()
    loaded = ItemSpace(content=8, behaviour=8).load(space.state())
    np.testing.assert_array_equal(loaded.vectors(catalogue, codes), space.vectors(catalogue, codes))


def test_a_missing_tensor_is_named(fitted):
    state = fitted[0].state()
    tensors = {name: each for name, each in state.tensors.items() if name != "guess"}
    with pytest.raises(BundleError, match="'guess' is missing"):
        ItemSpace().load(State(tensors, state.meta))
