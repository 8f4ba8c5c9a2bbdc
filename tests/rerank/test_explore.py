"""Exploration: the propensities it writes are what a simulation over many seeds counts."""

from dataclasses import replace

import numpy as np
import pytest

from polyscene.core.contracts import Run
from polyscene.core.queries import Queries, history_of
from polyscene.core.slates import Slates
from polyscene.rerank.explore import Explore
from polyscene.testing.worlds import nothing

SEEDS = 40_000


def explored(epsilon: float, pool: int, size: int, wanted: int, count: int = SEEDS) -> Slates:
    """One slate of `size` items, best first from 100 on, under `count` seeds."""
    queries = replace(
        Queries.of_histories(history_of([[]] * count), 200, wanted=wanted),
        seeds=np.random.default_rng(3).integers(0, 2**63, count).astype(np.uint64),
    )
    slates = Slates(
        np.arange(count + 1, dtype=np.int64) * size,
        np.tile(np.arange(100, 100 + size, dtype=np.int32), count),
        np.tile(np.arange(size, 0, -1, dtype=np.float32), count),
    )
    return Explore(epsilon=epsilon, pool=pool).fit(nothing(), Run())(queries, slates)


@pytest.mark.parametrize(
    ("epsilon", "pool", "size", "wanted"),
    [(0.3, 100, 9, 4), (0.3, 3, 12, 5), (1.0, 100, 6, 4), (0.5, 2, 7, 3)],
)
def test_propensities_are_the_true_frequencies(epsilon: float, pool: int, size: int, wanted: int) -> None:
    shown = explored(epsilon, pool, size, wanted)
    assert (shown.lengths == wanted).all()
    items = shown.items.reshape(SEEDS, wanted)
    assert (np.sort(items, 1)[:, 1:] != np.sort(items, 1)[:, :-1]).all()
    propensity = shown.columns["propensity"].reshape(SEEDS, wanted)
    for place in range(wanted):
        total = 0.0
        for item in np.unique(items[:, place]):
            there = items[:, place] == item
            told = np.unique(propensity[there, place])
            assert len(told) == 1
            assert there.mean() == pytest.approx(told[0], abs=4 * np.sqrt(0.25 / SEEDS))
            total += told[0]
        assert total == pytest.approx(1.0, abs=1e-5)


def test_places_are_explored_independently() -> None:
    swapped = explored(0.5, 100, 8, 2).items.reshape(SEEDS, 2) >= 102
    assert np.corrcoef(swapped.T)[0, 1] == pytest.approx(0, abs=0.03)


def test_without_epsilon_or_candidates_below_nothing_moves() -> None:
    for found in (explored(0.0, 100, 9, 4, 50), explored(0.9, 100, 4, 4, 50), explored(0.9, 9, 2, 4, 50)):
        width = int(found.lengths[0])
        assert (found.items.reshape(50, width) == np.arange(100, 100 + width)).all()
        assert (found.columns["propensity"] == 1).all()


def test_equal_seeds_give_equal_slates_and_a_batch_is_its_singles() -> None:
    queries = Queries.of_histories(history_of([[]] * 3), 50, wanted=4)
    slates = Slates(
        np.array([0, 9, 9, 20]), np.arange(20, dtype=np.int32), np.linspace(1, 0, 20).astype(np.float32)
    )
    part = Explore(epsilon=0.6).fit(nothing(), Run())
    batch = part(queries, slates)
    for row in range(3):
        one = part(queries.take(np.array([row])), slates.take(np.array([row])))
        assert one.items.tolist() == batch.of(row).tolist()
