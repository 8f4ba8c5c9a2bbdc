"""What is told of a study."""

import shlex

import pytest

from polyscene.jobs.tune.ground import Facts, Mark
from polyscene.jobs.tune.journal import Tried
from polyscene.jobs.tune.result import Marks, Told, command_of, result_of
from polyscene.jobs.tune.searches import Search
from polyscene.models.search import SPACES

FACTS = Facts(source="shop", protocol="loo", digest="d" * 64, users=3, items=4, events=9, queries=3)


def trial(kind, score=None, *, end="done", why="", ms=1.0, **settings):
    return Tried(kind=kind, settings=settings, end=end, why=why, score=score, request_ms=ms, seconds=2.0)


TRIED = [
    trial("ease", 0.2),
    trial("ease", 0.3, l2=50.0),
    trial("ease", 0.4, ms=9.0, l2=60.0),
    trial("ease", end="behind", l2=70.0),
    trial("content_knn", end="failed", why="no text"),
    trial("covisit", 0.1),
]
MARKS = Marks(
    {
        "": Mark(values=[0.0, 0.5, 1.0], fit_cpu_s=1.0),
        "ease": Mark(values=[0.0, 0.25, 0.5], fit_cpu_s=1.0),
        "covisit": Mark(values=[1.0, 0.5, 1.0], fit_cpu_s=1.0),
    },
    {},
)


@pytest.fixture
def found():
    searches = {kind: Search(kind, SPACES[kind], {}) for kind in ("ease", "content_knn", "covisit", "slim")}
    return result_of(FACTS, {"looks": 2}, Told(TRIED, searches, 5.0, 0), TRIED[1], MARKS)


def test_each_kind_stands_with_its_start_its_best_and_how_trials_ended(found):
    ease, content, covisit, slim = found["kinds"]
    assert (ease["start"], ease["best"], ease["settings"]) == (0.2, 0.3, {"l2": 50.0})
    assert ease["ends"] == {"done": 2, "slow": 1, "behind": 1}
    assert ease["seconds"] == 8.0
    assert ease["test"] == 0.25
    assert ease["gap"]["difference"] == 0.25
    assert content["why"] == "failed: no text"
    assert content["gap"] is None
    assert covisit["gap"]["difference"] == pytest.approx(-1 / 3)
    assert slim["why"] == "there was no time to begin"
    assert [TRIED[at].score for at in found["front"]] == [0.3, 0.4]


def test_what_one_should_know_first_is_said(found):
    told = "\n".join(found["warnings"])
    assert "content_knn was left out: failed: no text" in told
    assert "slim was left out: there was no time to begin" in told
    assert "hardly searched (below 5 trials): ease, covisit" in told
    assert "looked at the test part 2 times" in told
    assert "covisit with its start settings is better on the test part: 0.8333 against 0.5000" in told


def test_the_command_says_the_settings_as_a_shell_reads_them():
    settings = {"l2": 50.0, "item_ids": True, "space": "tfidf", "text": ["a", "b c"]}
    assert shlex.split(command_of("ease", settings)) == [
        *("--model", "ease", "--set", "l2=50.0", "--set", "item_ids=true"),
        *("--set", "space=tfidf", "--set", 'text=["a", "b c"]'),
    ]
