"""Warnings are said when they must be, and only then."""

import numpy as np

from polyscene.core.arrays import Ragged
from polyscene.core.slates import Slates
from polyscene.evaluate.intervals import Comparison
from polyscene.evaluate.ranking import Ranking
from polyscene.evaluate.warn import below_baselines, suspicious


def ranking_of(queries=500, candidates=1000, item=0):
    ones = np.arange(queries + 1)
    targets = Ragged(ones, np.full(queries, item, np.int32))
    return Ranking(
        Slates.empty(queries),
        targets,
        Ragged(ones, np.zeros(queries, np.int64)),
        np.full(queries, candidates),
    )


def test_a_model_below_a_baseline_is_told_so_with_the_interval():
    gaps = {
        "covisit": Comparison(-0.0716, -0.08, -0.06, 0.002),
        "popular": Comparison(0.02, 0.01, 0.03, 0.002),
    }
    (line,) = below_baselines("ease", "ndcg@10", 0.0545, {"covisit": 0.1261, "popular": 0.0345}, gaps)
    assert line == (
        "ease is below covisit: ndcg@10 0.0545 against 0.1261, difference -0.0716 [-0.0800, -0.0600], "
        "p 0.002; tune it or use covisit"
    )


def test_a_gap_that_may_be_chance_is_called_so():
    gaps = {"popular": Comparison(-0.001, -0.004, 0.002, 0.6)}
    (line,) = below_baselines("bpr", "ndcg@10", 0.02, {"popular": 0.021}, gaps)
    assert line.startswith("bpr is not above popular")
    assert "may be chance" in line


def test_an_equal_model_is_left_alone():
    assert below_baselines("a", "ndcg@10", 0.1, {"b": 0.1}, {"b": Comparison(0.0, 0.0, 0.0, 1.0)}) == []


def test_a_clean_split_has_nothing_to_hear():
    assert suspicious("ndcg@10", 0.2, ranking_of(), np.ones(5, int)) == []


def test_a_result_too_good_hints_at_a_leak():
    (line,) = suspicious("ndcg@10", 0.93, ranking_of(), np.ones(5, int))
    assert "0.93, too good for 1,000 candidates: look for a leak" in line


def test_among_few_candidates_a_high_figure_is_no_wonder():
    assert suspicious("ndcg@10", 0.93, ranking_of(candidates=20), np.ones(5, int)) == []


def test_few_queries_are_said():
    (line,) = suspicious("ndcg@10", 0.2, ranking_of(queries=90), np.ones(5, int))
    assert line.startswith("only 90 queries")


def test_items_that_nothing_was_learned_about_are_said():
    (line,) = suspicious("ndcg@10", 0.2, ranking_of(item=3), np.array([1, 1, 1, 0]))
    assert line.startswith("100% of the held-out items have no event")
    (line,) = suspicious("ndcg@10", 0.2, ranking_of(item=-1), np.ones(5, int))
    assert line.startswith("100% of the held-out items have no event")
