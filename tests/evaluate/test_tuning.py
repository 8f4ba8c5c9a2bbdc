"""The table and the page of a search: whole, escaped, and without outside resources."""

import io
import re
from xml.etree import ElementTree as ET

import pytest
from rich.console import Console

from polyscene.evaluate import svg
from polyscene.evaluate.tuning import html, terminal


def trial(kind, score=None, *, end="done", why="", ms=1.0, at_s=1.0, **settings):
    return {
        "kind": kind,
        "settings": settings,
        "end": end,
        "why": why,
        "score": score,
        "request_ms": ms if score is not None else None,
        "seconds": 2.0,
        "at_s": at_s,
    }


def kind(name, start, best, gap=None, **ends):
    return {
        "kind": name,
        "trials": sum(ends.values()),
        "ends": ends,
        "seconds": 8.0,
        "start": start,
        "best": best,
        "settings": {},
        "request_ms": None if best is None else 0.5,
        "test": None if gap is None else 0.2,
        "gap": None if gap is None else {"difference": gap, "low": gap - 0.1, "high": gap + 0.1, "p": 0.01},
        "why": "",
    }


@pytest.fixture
def result():
    return {
        "source": "shop <b>",
        "protocol": "loo",
        "digest": "d" * 64,
        "queries": 1234,
        "metric": "ndcg@10",
        "seed": 7,
        "scenario": "",
        "stage": "",
        "limits": {"latency_ms": 5.0},
        "used_s": 61.0,
        "looks": 1,
        "study": "shop.jsonl",
        "chosen": {
            "kind": "ease",
            "settings": {"l2": 51.5},
            "start": {"l2": 500.0},
            "command": "--model ease --set l2=51.5",
            "validation": 0.3,
            "request_ms": 0.5,
            "fit_cpu_s": 1.0,
            "test": {"value": 0.29, "low": 0.19, "high": 0.39},
        },
        "kinds": [
            kind("covisit", 0.1, 0.15, 0.05, done=1),
            kind("ease", 0.2, 0.3, 0.2, done=2, slow=1, behind=1),
            kind("slim", None, None, failed=1),
            kind("rp3beta", None, None),
        ],
        "importance": {"covisit": {}, "ease": {"l2": 0.75, "max_items": 0.25}},
        "front": [0, 2],
        "trials": [
            trial("covisit", 0.1, ms=0.1, at_s=1.0),
            trial("ease", 0.2, ms=1.0, at_s=2.0),
            trial("ease", 0.3, ms=0.5, at_s=4.0, l2=51.5),
            trial("ease", 0.4, ms=9.0, at_s=5.0, l2=60.0),
            trial("ease", end="behind", why="ndcg@10 0.1 after 25%", l2=70.0),
            trial("slim", end="failed", why="too <many> items"),
        ],
        "warnings": ["read <me>"],
    }


def test_the_table_fits_a_terminal_and_stands_best_first(result):
    out = io.StringIO()
    terminal(result, Console(file=out, width=80))
    lines = [line.rstrip() for line in out.getvalue().splitlines() if line.strip()]
    assert lines[0] == "shop <b> (loo): 1,234 queries, 6 trials in 61 s"
    assert lines[3].split() == ["ease", "4", "0.2000", "0.3000", "0.50", "0.2000", "+0.2000", "±", "0.1000"]
    assert lines[4].split()[-3:] == ["(+0.0500", "±", "0.1000)"]
    assert lines[5].split() == ["slim", "1", "–", "–", "–", "–", "–"]
    assert "chosen: --model ease --set l2=51.5" in lines
    assert lines[-1] == "ndcg@10: 0.3000 on validation, 0.2900 ± 0.1000 on test"
    assert "…" not in out.getvalue()


def test_the_page_is_whole_and_brings_nothing_from_outside(result):
    page = html(result)
    for drawing in re.findall(r"<svg.*?</svg>", page, re.DOTALL):
        ET.fromstring(drawing)
    assert page.count("<svg") == 3
    assert not re.search(r"(src|href)=|@import|url\(", page)
    assert "shop &lt;b&gt;" in page
    assert "read &lt;me&gt;" in page
    assert "too &lt;many&gt; items" in page
    assert "ndcg@10 0.1 after 25%" not in page
    assert "the limit of 5 ms" in page
    assert "<td>l2</td><td>500</td><td>51.5</td>" in page
    assert "<td>ease</td><td>2</td><td>1</td><td>1</td>" in page


def test_the_line_of_the_best_leaves_out_what_is_too_slow(result):
    page = html(result)
    line = re.search(r'<polyline class="line c0" points="([^"]*)"', page)[1]
    heights = [float(spot.split(",")[1]) for spot in line.split()]
    assert heights == sorted(heights, reverse=True)
    result["limits"]["latency_ms"] = None
    free = re.search(r'<polyline class="line c0" points="([^"]*)"', html(result))[1]
    assert float(free.split()[-1].split(",")[1]) < heights[-1]


def test_a_start_that_was_chosen_has_no_gap(result):
    result["kinds"][1]["gap"] = {"difference": 0.0, "low": 0.0, "high": 0.0, "p": 1.0}
    out = io.StringIO()
    terminal(result, Console(file=out, width=80))
    assert "the choice" in out.getvalue()


def test_a_single_trial_and_no_importance_can_be_shown(result):
    result["trials"], result["front"], result["importance"] = result["trials"][:1], [0], {}
    page = html(result)
    assert "Too few trials to tell." in page
    assert "nan" not in page


def test_spots_stand_where_their_values_say():
    drawn = svg.spots([svg.Spots("c0", [(1.0, 0.0), (10.0, 2.0), (100.0, 4.0)])], ("x", "y"), "t", log=True)
    spots = [(float(x), float(y)) for x, y in re.findall(r'cx="([\d.]+)" cy="([\d.]+)"', drawn)]
    assert [x for x, _ in spots] == [svg.LEFT, (svg.LEFT + svg.RIGHT) / 2, svg.RIGHT]
    assert [y for _, y in spots] == [svg.BOTTOM, (svg.TOP + svg.BOTTOM) / 2, svg.TOP]
