"""Bootstrap intervals: right width, seeded, honest about pairs."""

import numpy as np
import pytest

from polyscene.evaluate import intervals as module
from polyscene.evaluate.intervals import compare, intervals


def test_the_interval_has_the_width_that_theory_says():
    values = np.random.default_rng(3).normal(2.0, 1.0, 2000)
    low, high = intervals({"x": values})["x"]
    assert low < values.mean() < high
    assert high - low == pytest.approx(2 * 1.96 * values.std() / 2000**0.5, rel=0.1)


def test_intervals_cover_the_truth_about_as_often_as_they_say():
    rng = np.random.default_rng(5)
    inside = 0
    for seed in range(200):
        low, high = intervals({"x": rng.exponential(1.0, 200)}, seed=seed, samples=300)["x"]
        inside += low <= 1.0 <= high
    assert 0.88 <= inside / 200 <= 0.99


def test_equal_seeds_give_equal_intervals_and_others_do_not():
    values = {"x": np.random.default_rng(0).random(50)}
    assert intervals(values, seed=1) == intervals(values, seed=1)
    assert intervals(values, seed=1) != intervals(values, seed=2)


def test_blocks_keep_every_sample(monkeypatch):
    values = np.random.default_rng(0).random((40, 1))
    monkeypatch.setattr(module, "BLOCK_CELLS", 100)
    assert module.resampled(values, 0, 25).shape == (25, 1)


def test_queries_that_can_not_say_are_left_out():
    values = np.array([1.0, np.nan, 1.0, np.nan])
    assert intervals({"x": values, "y": np.arange(4.0)})["x"] == (1.0, 1.0)


def test_nothing_known_gives_no_number():
    assert np.isnan(intervals({"x": np.full(3, np.nan)})["x"]).all()
    assert np.isnan(intervals({"x": np.zeros(0)})["x"]).all()
    assert intervals({}) == {}


def test_a_clear_difference_is_found():
    rng = np.random.default_rng(0)
    base = rng.random(500)
    found = compare(base + 0.1 + rng.normal(0, 0.1, 500), base)
    assert found.low > 0.05
    assert found.difference == pytest.approx(0.1, abs=0.02)
    assert found.p == pytest.approx(2 / 1001)


def test_pairing_finds_what_two_separate_intervals_hide():
    rng = np.random.default_rng(0)
    base = rng.normal(0, 1, 400)
    ours = base + 0.05
    apart = intervals({"ours": ours, "base": base})
    assert apart["ours"][0] < apart["base"][1]
    assert compare(ours, base).low > 0


def test_no_difference_is_not_found():
    base = np.random.default_rng(0).random(300)
    assert compare(base, base).p == 1.0


def test_the_other_side_is_the_mirror_image():
    rng = np.random.default_rng(0)
    left, right = rng.random(100), rng.random(100)
    there, back = compare(left, right), compare(right, left)
    assert there.difference == -back.difference
    assert (there.low, there.high) == pytest.approx((-back.high, -back.low))
    assert there.p == back.p


def test_no_pairs_give_no_number():
    found = compare(np.array([np.nan]), np.array([1.0]))
    assert np.isnan(found.difference)
    assert found.p == 1.0
