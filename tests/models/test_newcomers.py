import numpy as np
import pytest

from polyscene.models.foundation.newcomers import Newcomers

RNG = np.random.default_rng(0)
KNOWN = RNG.normal(size=(60, 8)).astype(np.float32)


def test_what_is_most_alike_speaks_and_the_rest_is_silent():
    new = KNOWN[[3, 7]] + 0.01
    likeness = Newcomers(neighbours=4).likeness(new, KNOWN).toarray()
    np.testing.assert_allclose(likeness.sum(1), 1, rtol=1e-5)
    assert likeness.argmax(1).tolist() == [3, 7]
    assert ((likeness > 0).sum(1) <= 4).all()
    assert Newcomers(neighbours=100).likeness(new, KNOWN).shape == (2, 60)
    assert Newcomers().likeness(KNOWN[:0], KNOWN).shape == (0, 60)


def test_what_resembles_nothing_has_no_neighbours():
    assert Newcomers().likeness(KNOWN.mean(0)[None], KNOWN).toarray().max() < 1e-3


@pytest.mark.parametrize("own", [0.0, 0.5])
def test_a_chance_is_the_mean_of_the_neighbours_chances(own):
    newcomers = Newcomers(neighbours=3, own=own)
    likeness = newcomers.likeness(RNG.normal(size=(5, 8)).astype(np.float32), KNOWN)
    scores = RNG.normal(size=(4, 60)).astype(np.float32) * 3
    of_its_own = RNG.normal(size=(4, 5)).astype(np.float32)
    twin = np.log(np.exp(scores) @ likeness.toarray().T) + own * of_its_own
    np.testing.assert_allclose(newcomers.scores(scores, likeness, of_its_own), twin, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("share", [0.5, 1.0, 2.0])
def test_the_margin_gives_the_share_that_was_asked_for(share):
    """Measured again from outside, on the rows that the same seed lets play new."""
    newcomers, seed, R = Newcomers(share=share), 5, len(KNOWN)
    vectors = RNG.normal(size=(300, 8)).astype(np.float32)
    scores = vectors @ KNOWN.T
    scores[:, 0] = -np.inf
    popularity = np.log(np.full(R, 1 / R, np.float32))
    margin = newcomers.margin(scores, KNOWN, vectors, popularity, seed)
    plays = np.zeros(R, bool)
    plays[np.random.default_rng(seed).permutation(R)[: R // 10]] = True
    likeness = newcomers.likeness(KNOWN[plays], KNOWN[~plays])
    new = newcomers.scores(scores[:, ~plays], likeness, vectors @ KNOWN[plays].T) + margin
    new[np.isneginf(scores[:, plays])] = -np.inf
    both = np.exp(np.concatenate([scores[:, ~plays], new], 1))
    got = (both[:, (~plays).sum() :].sum(1) / both.sum(1)).mean()
    assert got == pytest.approx(share / 10, rel=0.01)


def test_nobody_to_resemble_and_nobody_to_ask_are_survived():
    assert Newcomers().likeness(KNOWN[:2], KNOWN[:0]).shape == (2, 0)
    everything_seen = np.full((2, 3), -np.inf, np.float32)
    assert Newcomers().margin(everything_seen, KNOWN[:3], KNOWN[:2], np.zeros(3), 0) == 0.0


def test_no_margin_where_nothing_can_play_new():
    assert Newcomers().margin(np.zeros((3, 1), np.float32), KNOWN[:1], KNOWN[:3], np.zeros(1), 0) == 0.0
