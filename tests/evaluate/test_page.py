"""The table and the page: whole, escaped, and without outside resources."""

import io
import re
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from rich.console import Console

from polyscene.core.arrays import Ragged
from polyscene.core.catalogue import Catalogue
from polyscene.core.contracts import Data
from polyscene.core.queries import Queries, history_of
from polyscene.core.slates import Slates
from polyscene.evaluate import svg
from polyscene.evaluate.beyond import item_facts
from polyscene.evaluate.charts import charts
from polyscene.evaluate.intervals import intervals
from polyscene.evaluate.metrics import measure
from polyscene.evaluate.page import html
from polyscene.evaluate.ranking import Ranking
from polyscene.evaluate.report import terminal

SIZE, COUNT = 50, 40


def answers(seed):
    """A made-up ranking, its facts and its lengths of history."""
    rng = np.random.default_rng(seed)
    histories = history_of([rng.integers(0, SIZE, 1 + row % 7).tolist() for row in range(COUNT)])
    facts = item_facts(
        Data(np.arange(COUNT, dtype=np.int32), histories, Catalogue.bare(SIZE), 9),
        Queries.of_histories(histories, SIZE),
    )
    items = Ragged.of([rng.permutation(SIZE)[:10] for _ in range(COUNT)])
    ones = np.arange(COUNT + 1)
    ranking = Ranking(
        Slates(items.offsets, items.values, np.zeros(len(items.values), np.float32)),
        Ragged(ones, rng.integers(0, SIZE, COUNT).astype(np.int32)),
        Ragged(ones, rng.integers(0, SIZE + 1, COUNT)),
        np.full(COUNT, SIZE),
    )
    return ranking, facts, histories.lengths


def figures(seed):
    ranking, facts, _ = answers(seed)
    measures = measure(ranking, facts, (10,))
    return {
        "metrics": dict(measures.totals),
        "intervals": {name: list(ends) for name, ends in intervals(measures.per_query).items()},
        "fit_seconds": 1.0,
        "fit_cpu_seconds": 2.0,
        "score_seconds": 0.5,
    }


@pytest.fixture(scope="module")
def result():
    gap = {"difference": -0.1, "low": -0.2, "high": -0.05, "p": 0.01}
    return {
        "data": "<b>tiny</b>",
        "users": COUNT,
        "items": SIZE,
        "events": 1234,
        "split": {"protocol": "loo", "digest": "ab12"},
        "model": "ease",
        "config": {"kind": "ease", "l2": 500.0},
        **figures(0),
        "peak_mb": 100.0,
        "queries": COUNT,
        "on": "test",
        "fit_on": "all",
        "seed": 0,
        "baselines": {"popular": figures(1)},
        "comparison": {"popular": {"ndcg@10": gap}},
        "warnings": ["ease is below popular"],
    }


@pytest.fixture(scope="module")
def series():
    found = {}
    for name, seed in (("ease", 0), ("popular", 1)):
        ranking, facts, lengths = answers(seed)
        found[name] = charts(ranking, facts, measure(ranking, facts).per_query["ndcg@10"], lengths, 10)
    return found


def test_the_page_needs_nothing_from_outside(result, series):
    page = html(result, series, "ndcg@10")
    assert not re.search(r"https?:|src=|<link|<script|@import|url\(", page)


def test_the_page_shows_figures_warnings_and_the_way_to_repeat_them(result, series):
    page = html(result, series, "ndcg@10")
    assert f"{result['metrics']['ndcg@10']:.4f}" in page
    assert "ease is below popular" in page
    assert "ab12" in page
    assert "-0.1000" in page
    assert page.count("<svg") == 5


def test_names_from_outside_are_escaped(result, series):
    page = html(result, series, "ndcg@10")
    assert "<b>tiny</b>" not in page
    assert "&lt;b&gt;tiny&lt;/b&gt;" in page


def test_without_baselines_the_page_has_one_series(result, series):
    alone = {**result, "baselines": {}, "comparison": {}, "warnings": []}
    page = html(alone, {"ease": series["ease"]}, "ndcg@10")
    assert "Against the baselines" not in page
    assert "Read this first" not in page


def test_every_plot_is_well_formed(result, series):
    for plot in re.findall(r"<svg.*?</svg>", html(result, series, "ndcg@10"), re.DOTALL):
        numbers = [
            float(value)
            for node in ET.fromstring(plot).iter()
            for key, value in node.attrib.items()
            if key in ("x", "y", "width", "height", "cx", "cy")
        ]
        assert numbers
        assert min(numbers) >= 0


def test_curves_rise_from_nothing_to_all(series):
    for each in series.values():
        for curve in (each.tail, each.taste):
            assert curve[0].tolist() == [0, 0]
            assert curve[-1].tolist() == [1, 1]
            assert (np.diff(curve, axis=0) >= 0).all()


def test_shares_of_places_add_up_and_count_what_was_not_reached(series):
    ranking, _, _ = answers(0)
    places = dict(series["ease"].places)
    assert sum(places.values()) == pytest.approx(1)
    assert places["never"] == pytest.approx((~ranking.reached()).mean())
    assert places["1"] == pytest.approx((ranking.ranks.values == 0).mean())
    assert places["≤ 3"] == pytest.approx(np.isin(ranking.ranks.values, (1, 2)).mean())


def test_groups_by_history_hold_every_query_once(series):
    points = series["ease"].by_history
    assert sum(point.count for point in points) == COUNT
    assert all(point.low <= point.value <= point.high for point in points)


def test_all_zero_figures_can_be_drawn():
    assert "<svg" in svg.bars([("a", 0.0, 0.0, 0.0)], "zero")
    assert "<svg" in svg.columns([[("1", 0.0)]], "x", "zero")


def test_the_table_names_every_metric_and_baseline(result):
    out = io.StringIO()
    terminal(result, Console(file=out, width=120))
    text = out.getvalue()
    for word in ("ease on <b>tiny</b>", "popular", "ndcg@10", "coverage@10", "gini@10", "auc"):
        assert word in text


def test_a_figure_that_does_not_exist_is_a_dash(result):
    out = io.StringIO()
    odd = {**result, "metrics": {"auc": float("nan")}, "intervals": {}, "baselines": {}}
    terminal(odd, Console(file=out, width=120))
    assert "–" in out.getvalue()
