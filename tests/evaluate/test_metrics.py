"""Metrics: equal to trec_eval's (by ir-measures) and to their naive form."""

from math import log2

import ir_measures
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polyscene.core.arrays import Ragged
from polyscene.core.slates import Slates
from polyscene.evaluate.metrics import accuracy_at, auc, measure
from polyscene.evaluate.ranking import Ranking

SIZE = 12


def ranking_of(ranks, candidates=SIZE):
    """A ranking in which targets came to the given places; `candidates` means not reached."""
    places = Ragged.of(ranks, np.int64)
    targets = Ragged(places.offsets, np.arange(len(places.values), dtype=np.int32))
    return Ranking(Slates.empty(len(ranks)), targets, places, np.full(len(ranks), candidates))


@st.composite
def rankings(draw):
    """One to five queries with one to four targets each, some of them not reached."""
    lists = draw(
        st.lists(
            st.lists(st.integers(0, SIZE - 1), min_size=1, max_size=4, unique=True), min_size=1, max_size=5
        )
    )
    missed = [draw(st.integers(0, 2)) for _ in lists]
    return [places + [SIZE] * extra for places, extra in zip(lists, missed, strict=True)]


ORACLE = {
    "hr": ir_measures.Success,
    "precision": ir_measures.P,
    "recall": ir_measures.R,
    "ndcg": ir_measures.nDCG,
    "map": ir_measures.AP,
    "mrr": ir_measures.RR,
}


@settings(max_examples=25, deadline=None)
@given(rankings(), st.sampled_from([1, 3, 10]))
def test_metrics_equal_ir_measures(ranks, k):
    qrels, run = [], []
    for query, places in enumerate(ranks):
        shown = {place: f"x{place}" for place in range(SIZE)}
        for number, place in enumerate(places):
            name = f"t{number}"
            qrels.append(ir_measures.Qrel(str(query), name, 1))
            if place < SIZE:
                shown[place] = name
        run += [ir_measures.ScoredDoc(str(query), name, -float(place)) for place, name in shown.items()]
    ours = accuracy_at(ranking_of(ranks), k)
    for name, oracle in ORACLE.items():
        found = {int(each.query_id): each.value for each in ir_measures.iter_calc([oracle @ k], qrels, run)}
        expected = [found[query] for query in range(len(ranks))]
        np.testing.assert_allclose(ours[f"{name}@{k}"], expected, atol=1e-9, err_msg=name)


def naive_ndcg(places, k):
    ideal = sum(1 / log2(place + 2) for place in range(min(k, len(places))))
    return sum(1 / log2(place + 2) for place in places if place < min(k, SIZE)) / ideal


def naive_map(places, k):
    reached = sorted(place for place in places if place < min(k, SIZE))
    return sum((number + 1) / (place + 1) for number, place in enumerate(reached)) / len(places)


def naive_auc(places):
    others = [place for place in range(SIZE) if place not in places]
    won = sum(other > place for place in places for other in others)
    return won / (len(places) * len(others))


@given(rankings(), st.integers(1, 2 * SIZE))
def test_metrics_equal_their_naive_form(ranks, k):
    ours = accuracy_at(ranking_of(ranks), k)
    for query, places in enumerate(ranks):
        hits = sum(place < min(k, SIZE) for place in places)
        precision, recall = hits / k, hits / len(places)
        f1 = 2 * precision * recall / (precision + recall) if hits else 0
        best = min(places)
        assert ours[f"hr@{k}"][query] == (hits > 0)
        assert ours[f"precision@{k}"][query] == pytest.approx(precision)
        assert ours[f"recall@{k}"][query] == pytest.approx(recall)
        assert ours[f"f1@{k}"][query] == pytest.approx(f1)
        assert ours[f"ndcg@{k}"][query] == pytest.approx(naive_ndcg(places, k))
        assert ours[f"map@{k}"][query] == pytest.approx(naive_map(places, k))
        assert ours[f"mrr@{k}"][query] == pytest.approx(1 / (best + 1) if best < min(k, SIZE) else 0)


@given(rankings())
def test_metrics_are_shares(ranks):
    ours = measure(ranking_of(ranks), ks=(1, 5)).per_query
    for name, values in ours.items():
        assert ((values >= 0) & (values <= 1)).all(), name


@given(st.lists(st.integers(0, SIZE - 1), min_size=1, max_size=5, unique=True))
def test_auc_equals_its_naive_form(places):
    assert auc(ranking_of([places]))[0] == pytest.approx(naive_auc(places))


def test_auc_of_what_is_not_reached_is_0():
    assert auc(ranking_of([[SIZE], [SIZE, SIZE]])).tolist() == [0.0, 0.0]


def test_auc_can_not_say_when_all_candidates_are_targets():
    assert np.isnan(auc(ranking_of([[0, 1]], candidates=2))[0])


def test_a_target_not_reached_among_few_candidates_is_no_hit():
    found = accuracy_at(ranking_of([[3]], candidates=3), 10)
    assert found["hr@10"].tolist() == [0.0]
    assert found["ndcg@10"].tolist() == [0.0]


def test_known_figures():
    totals = measure(ranking_of([[0], [1], [SIZE]]), ks=(10,)).totals
    assert totals["hr@10"] == pytest.approx(2 / 3)
    assert totals["ndcg@10"] == pytest.approx((1 + 1 / log2(3)) / 3)
    assert totals["mrr@10"] == pytest.approx(0.5)
