"""Scales against their plain form, and what becomes of items that a member can't score."""

import numpy as np
import pytest
from scipy.special import log_softmax

from polyscene.rank.scales import mean_probability, on_scale, weighted_sum, with_floor

NO = -np.inf


def block(*rows: list[float]) -> np.ndarray:
    return np.array(rows, np.float32)


@pytest.mark.parametrize("scale", ["log_softmax", "z"])
def test_scales_equal_their_plain_form_over_what_is_scored(scale: str) -> None:
    scores = np.random.default_rng(0).normal(3, 2, (20, 30)).astype(np.float32)
    scores[np.random.default_rng(1).random(scores.shape) < 0.3] = NO
    found = on_scale(scores, scale)
    assert found.dtype == np.float32
    for row, said in zip(scores, found, strict=True):
        scored = row > NO
        kept = row[scored].astype(np.float64)
        plain = log_softmax(kept) if scale == "log_softmax" else (kept - kept.mean()) / kept.std()
        np.testing.assert_allclose(said[scored], plain, rtol=1e-4, atol=1e-5)
        assert (said[~scored] == NO).all()


@pytest.mark.parametrize("scale", ["log_softmax", "z"])
def test_scales_survive_rows_of_one_value_and_of_none(scale: str) -> None:
    found = on_scale(block([NO, NO, NO], [5, 5, 5], [NO, 7, NO]), scale)
    assert (found[0] == NO).all()
    assert found[1].tolist() == pytest.approx([0.0] * 3 if scale == "z" else [-np.log(3)] * 3)
    assert found[2].tolist() == [NO, 0, NO]
    assert on_scale(np.zeros((0, 4), np.float32), scale).shape == (0, 4)
    assert on_scale(np.zeros((2, 0), np.float32), scale).shape == (2, 0)


def test_large_scores_neither_overflow_nor_vanish() -> None:
    found = on_scale(block([1e4, 1e4 - 1, -1e4]), "log_softmax")
    np.testing.assert_allclose(found[0, :2], log_softmax([1.0, 0.0]), rtol=1e-5)
    assert np.isfinite(found).all()


def test_what_one_member_cannot_score_gets_its_lowest() -> None:
    one, other = block([1, 2, NO, NO]), block([NO, 1, 5, NO])
    found = weighted_sum([(one, 1.0), (other, 2.0)], (1, 4))
    assert found.tolist() == [[1 + 2 * 1, 2 + 2 * 1, 1 + 2 * 5, NO]]


def test_who_scores_nothing_has_no_say() -> None:
    one, silent = block([1, 2, NO]), block([NO, NO, NO])
    assert weighted_sum([(one, 0.5), (silent, 9.0)], (1, 3)).tolist() == [[0.5, 1, NO]]
    assert mean_probability([one, silent], (1, 3)).tolist() == [[1, 2, NO]]
    assert with_floor(silent, 3.0).tolist() == [[3, 3, 3]]


def test_an_average_is_the_mean_of_probabilities() -> None:
    shares = np.random.default_rng(2).dirichlet(np.ones(6), (3, 4)).astype(np.float32)
    found = mean_probability(iter(np.log(shares)), (4, 6))
    np.testing.assert_allclose(np.exp(found), shares.mean(axis=0), rtol=1e-5)


def test_an_average_gives_the_unscored_the_lowest_probability_of_who_misses_it() -> None:
    with np.errstate(divide="ignore"):
        one, other = np.log(block([0.6, 0.4, 0, 0])), np.log(block([0.2, 0, 0.8, 0]))
    found = np.exp(mean_probability([one, other], (1, 4)))
    np.testing.assert_allclose(found, block([0.4, 0.3, 0.6, 0]), rtol=1e-5)
