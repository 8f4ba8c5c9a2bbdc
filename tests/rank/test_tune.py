"""Weights: the quick search against trying everything, over all items."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from polyscene.core.arrays import Ragged
from polyscene.core.contracts import Holdout
from polyscene.core.queries import Queries, history_of
from polyscene.evaluate.metrics import accuracy_at
from polyscene.evaluate.ranking import rank
from polyscene.rank.scales import weighted_sum
from polyscene.rank.tune import GRID, gather, search

B, ITEMS, NO = 60, 40, -np.inf


class Sum:
    """A stage that adds up voices with given weights."""

    effect = frozenset()

    def __init__(self, voices, weights) -> None:
        self.voices, self.weights = voices, weights

    def score_all(self, queries: Queries) -> np.ndarray:
        shape = (len(queries), queries.allowed.size)
        return weighted_sum(zip(self.voices(queries), self.weights, strict=True), shape)


def world(targets_each: int = 1):
    """Two members that each see half of the truth, and one that sees none; some cells are unscored."""
    rng = np.random.default_rng(3)
    targets = Ragged.of([rng.choice(ITEMS, targets_each, replace=False) for _ in range(B)])
    blocks = [rng.normal(size=(B, ITEMS)).astype(np.float32) for _ in range(3)]
    half = rng.random(len(targets.values)) < 0.5
    blocks[0][targets.rows()[half], targets.values[half]] += 2
    blocks[1][targets.rows()[~half], targets.values[~half]] += 2
    for each in blocks[:2]:
        each[rng.random(each.shape) < 0.1] = NO
    blocks[2][:, :5] = NO
    seen = Ragged.of([rng.choice(np.setdiff1d(np.arange(ITEMS), targets[row]), 4) for row in range(B)])
    queries = Queries.of_histories(history_of([[]] * B), ITEMS)
    # The user's code tells a voice which row is asked.
    queries = replace(queries, users=np.arange(B, dtype=np.int32), exclude=seen)
    values = Ragged(targets.offsets, np.ones(len(targets.values), np.float32))
    return Holdout(queries, targets, values), lambda asked: [each[asked.users] for each in blocks]


def exact(holdout, voices, weights) -> float:
    return float(accuracy_at(rank(Sum(voices, weights), holdout, k=10), 10)["ndcg@10"].mean())


@pytest.mark.parametrize("targets_each", [1, 3])
@pytest.mark.parametrize("weights", [(1, 0.5, 0.25), (1, 2, 3), (0.5, 0.01, 0)])
def test_the_figure_is_that_of_ranking_all_items(targets_each, weights) -> None:
    holdout, voices = world(targets_each)
    evidence = gather(voices, holdout, take=ITEMS)
    found = evidence.ndcg(evidence.values @ np.array(weights, np.float32))
    assert found == pytest.approx(exact(holdout, voices, weights), abs=1e-6)


def test_few_candidates_are_enough() -> None:
    holdout, voices = world()
    evidence = gather(voices, holdout, take=12)
    assert len(evidence.rows) < B * ITEMS * 0.8
    assert evidence.ndcg(evidence.values @ np.array([1, 1, 0], np.float32)) == pytest.approx(
        exact(holdout, voices, (1, 1, 0)), abs=0.01
    )


def test_search_finds_what_trying_all_weights_finds() -> None:
    holdout, voices = world()
    weights, reached = search(gather(voices, holdout, take=ITEMS))
    assert weights[0] == 1
    assert reached == pytest.approx(exact(holdout, voices, weights), abs=1e-6)
    alone = exact(holdout, voices, (1, 0, 0))
    best = max(exact(holdout, voices, (1, *others)) for others in product(GRID[::3], GRID[:4]))
    assert reached > alone + 0.05
    assert reached >= best - 0.01


def test_answers_that_cannot_be_given_count_as_missed() -> None:
    holdout, voices = world()
    lost = holdout.targets.values.copy()
    lost[0], lost[1] = -1, ITEMS + 7
    exclude = Ragged.of([[int(lost[2])] if row == 2 else [] for row in range(B)])
    masks = holdout.queries.allowed
    queries = replace(holdout.queries, exclude=exclude, allowed=masks)
    odd = Holdout(queries, Ragged(holdout.targets.offsets, lost), holdout.values)
    evidence = gather(voices, odd, take=ITEMS)
    assert evidence.targets.values[:3].tolist() == [-1, -1, -1]
    rest = np.arange(3, B)
    others = Holdout(queries.take(rest), odd.targets.take(rest), odd.values.take(rest))
    scores = evidence.values @ np.ones(3, np.float32)
    assert evidence.ndcg(scores) == pytest.approx(exact(others, voices, (1, 1, 1)) * (B - 3) / B, abs=1e-6)


def test_no_questions_no_gain() -> None:
    holdout, voices = world()
    none = np.zeros(0, np.int64)
    empty = Holdout(holdout.queries.take(none), holdout.targets.take(none), holdout.values.take(none))
    weights, reached = search(gather(voices, empty))
    assert (len(weights), reached) == (0, 0.0)
