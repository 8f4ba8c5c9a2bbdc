"""A search from data to choice: in processes, killed, resumed, within limits."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from polyscene.core.errors import ConfigError, DataError, NotFoundError, ServiceError
from polyscene.jobs.evaluate import EvaluateRequest, evaluate
from polyscene.jobs.tune.crew import Crew, Lost
from polyscene.jobs.tune.ground import Ask, Mark, Score
from polyscene.jobs.tune.job import TuneRequest, tune
from polyscene.jobs.tune.journal import Looked, opened
from polyscene.jobs.tune.worker import Glimpse, Order, Refusal, Stopped
from polyscene.scenario.file import load_scenario

STEPS, USERS, ITEMS = 8, 60, 12
NETWORK = {"dim": 8, "epochs": 4, "validate_every": 1}


@pytest.fixture(scope="module")
def walkers(tmp_path_factory):
    """Everybody walks the same circle, each from a place of their own."""
    folder = tmp_path_factory.mktemp("walkers")
    rows = ["user,item,time"]
    for user in range(USERS):
        rows += [f"u{user},i{(user + step) % ITEMS},{1_000_000 * step + user}" for step in range(STEPS)]
    (folder / "events.csv").write_text("\n".join(rows))
    return str(folder)


@pytest.fixture(scope="module")
def asked(walkers, tmp_path_factory):
    study = tmp_path_factory.mktemp("study") / "study.jsonl"
    return TuneRequest(
        data=walkers,
        kinds=("ease", "covisit"),
        trials=3,
        workers=2,
        budget_s=600,
        study=study,
    )


@pytest.fixture(scope="module")
def found(asked):
    return tune(asked)


def test_the_choice_is_the_best_on_validation_and_beats_what_it_should(found):
    kinds = {each["kind"]: each for each in found["kinds"]}
    assert found["chosen"]["kind"] == "covisit"
    assert found["chosen"]["validation"] == max(each["score"] or 0 for each in found["trials"])
    assert kinds["ease"]["gap"]["low"] > 0
    assert kinds["ease"]["best"] >= kinds["ease"]["start"]
    assert {kind: each["trials"] for kind, each in kinds.items()} == {"ease": 3, "covisit": 3}
    assert all(at in range(len(found["trials"])) for at in found["front"])


def test_its_test_figure_is_that_of_evaluate(found, walkers):
    chosen = found["chosen"]
    settings = {key: str(value) for key, value in chosen["settings"].items()}
    alone = evaluate(EvaluateRequest(data=walkers, model="covisit", settings=settings, baselines=False))
    assert chosen["test"]["value"] == pytest.approx(alone["metrics"]["ndcg@10"])
    assert found["digest"] == alone["split"]["digest"]
    start = evaluate(EvaluateRequest(data=walkers, model="ease", baselines=False))
    ease = next(each for each in found["kinds"] if each["kind"] == "ease")
    assert ease["test"] == pytest.approx(start["metrics"]["ndcg@10"])


def test_the_same_command_gives_the_same_and_tries_nothing_more(found, asked):
    before = asked.study.read_bytes()
    assert tune(asked) == found
    assert asked.study.read_bytes() == before


def test_a_killed_study_goes_on(found, asked, tmp_path):
    """As if killed while the fourth trial was written: what stands is kept, the rest made up for."""
    lines = asked.study.read_bytes().splitlines(keepends=True)
    study = tmp_path / "study.jsonl"
    study.write_bytes(b"".join(lines[:4]) + lines[4][:30])
    request = TuneRequest(
        data=asked.data, kinds=asked.kinds, trials=3, workers=1, budget_s=600, study=study
    )
    again = tune(request)
    assert study.read_bytes().startswith(b"".join(lines[:4]))
    assert again["trials"][:3] == found["trials"][:3]
    assert len(again["trials"]) == 6
    for kind in ("ease", "covisit"):
        settings = [str(each["settings"]) for each in again["trials"] if each["kind"] == kind]
        assert len(set(settings)) == 3
    with opened(study) as journal:
        assert [type(each) for each in journal.looked] == [Looked]


def test_nothing_within_the_latency_is_told(walkers, tmp_path):
    request = TuneRequest(
        data=walkers, kinds=("covisit",), trials=1, latency_ms=1e-6, study=tmp_path / "study.jsonl"
    )
    with pytest.raises(DataError, match="nothing could be scored within the limits: covisit: done"):
        tune(request)


def only(crew):
    """What is heard next."""
    while True:
        for found in crew.listen():
            return found


def lost(crew):
    """What is heard of a worker at its end."""
    while not isinstance(word := only(crew)[1], Lost):
        pass
    return word


def test_a_worker_tells_looks_stops_and_is_replaced(walkers):
    with Crew(Ask(data=walkers), 1) as crew:
        facts = crew.facts()
        assert (facts.users, facts.items, facts.queries) == (USERS, ITEMS, USERS)

        order = Order(kind="denoising", settings=NETWORK)
        crew.give(crew.idle[0], order, "whole", 600)
        shares = []
        while isinstance((heard := only(crew))[1], Glimpse):
            shares.append(heard[1].share)
            heard[0].tell(True)
        assert shares == [0.25, 0.5, 0.75, 1.0]
        assert isinstance(heard[1], Score)
        heard[0].order = None

        crew.give(crew.idle[0], order, "stopped", 600)
        hand, _ = only(crew)
        hand.tell(False)
        assert isinstance(only(crew)[1], Stopped)
        hand.order = None

        crew.give(hand, Order(kind="ease", settings={}, rung=True), "rung", 600)
        glimpse = only(crew)[1]
        hand.tell(True)
        assert glimpse.share == 0.25
        assert glimpse.score != only(crew)[1].score
        hand.order = None

        crew.give(hand, Order(kind="ease", settings={"l2": -1.0}), "bad", 600)
        assert isinstance(word := only(crew)[1], Refusal)
        assert "l2" in word.why
        hand.order = None

        crew.give(hand, order, "late", 0.0)
        assert lost(crew) == Lost("time")
        assert not crew.idle
        crew.facts()
        crew.give(crew.idle[0], order, "killed", 600)
        os.kill(crew.busy[0].process.pid, signal.SIGKILL)
        assert lost(crew) == Lost("failed")
        crew.facts()
        crew.give(crew.idle[0], Order(kind="ease", settings={}, test=True), "test", 600)
        assert isinstance(word := only(crew)[1], Mark)
        assert len(word.values) == USERS


def test_workers_do_not_outlive_who_hired_them(walkers):
    program = (
        "import os, signal, sys\n"
        "from polyscene.jobs.tune.crew import Crew\n"
        "from polyscene.jobs.tune.ground import Ask\n"
        "with Crew(Ask(data=sys.argv[1]), 1) as crew:\n"
        "    crew.facts()\n"
        "    print(crew.hands[0].process.pid, flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, walkers], capture_output=True, text=True, check=False
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    state = Path(f"/proc/{int(done.stdout)}/stat")
    while state.exists() and state.read_text().rpartition(")")[2].split()[0] != "Z":
        time.sleep(0.05)


def test_too_little_memory_is_told(walkers):
    with (
        Crew(Ask(data=walkers), 1, memory_mb=1) as crew,
        pytest.raises(ServiceError, match=r"ended \(memory\).*raise --memory"),
    ):
        crew.facts()


def test_a_scenario_is_tuned_as_it_serves(copied, tmp_path):
    request = TuneRequest(root=copied.root, scenario="home", kinds=("covisit", "item_knn"), trials=2)
    found = tune(request)
    assert (found["stage"], found["source"]) == ("covisit", "scenario home")
    assert found["chosen"]["validation"] >= next(each["start"] for each in found["kinds"])
    (tmp_path / "home.toml").write_text(found["file"])
    written = load_scenario(tmp_path / "home.toml")
    assert written.stage_names()[1:] == ["popular", "fresh", "explore"]
    assert Path(found["study"]).parent == copied.root / "studies"


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({}, "give either data"),
        ({"data": "x", "scenario": "home"}, "give either data"),
        ({"data": "x", "kinds": ("covist",)}, "did you mean 'covisit'"),
        ({"data": "x", "kinds": ("random",)}, "'random' has no search space"),
        ({"data": "x", "budget_s": 0}, "must be above 0"),
    ],
)
def test_what_makes_no_sense_is_refused(wrong, text):
    with pytest.raises(ConfigError, match=text):
        tune(TuneRequest(**wrong))


def test_what_is_not_there_is_refused(copied):
    with pytest.raises(NotFoundError, match="no scenario 'hone'; did you mean 'home'"):
        tune(TuneRequest(root=copied.root, scenario="hone"))
    with pytest.raises(ConfigError, match="no source 'popular' that can be tuned; known: covisit"):
        tune(TuneRequest(root=copied.root, scenario="home", stage="popular"))
