"""Bundles swapped under concurrent asks: nobody notices, and what is left behind is let go of."""

import gc
import random
from concurrent.futures import ThreadPoolExecutor
from threading import Event, active_count

import pytest

from polyscene.core.contracts import silent
from polyscene.jobs import lineup as lineup_module
from polyscene.jobs.engine import Engine
from polyscene.jobs.loader import KEPT, Loaded
from polyscene.jobs.train import TrainRequest, train
from polyscene.scenario.ask import Ask

SWAPS = 12


def loaded_now():
    gc.collect()
    return [each for each in gc.get_objects() if type(each) is Loaded]


@pytest.mark.fault
def test_swaps_under_load_fail_no_ask_and_leave_nothing_behind(copied):
    """The short form of drill 13; `bench/swap.py` is the long one."""
    bundles = [copied.shelf().current("home")]
    for seed in range(3):
        (report,) = train(copied, TrainRequest(names=["home"], holdout=False, seed=seed), silent)
        bundles.append(report.bundle)
    seen: set[str] = set()
    with Engine.open(copied.root) as engine, ThreadPoolExecutor(2) as pool:
        over = Event()

        def ask(seed):
            draw, count = random.Random(seed), 0
            while not over.is_set():
                answer = engine.recommend(Ask(scenario="home", user=f"u{draw.randrange(24)}", k=4))
                assert len(answer.items) == 4
                assert answer.notes == []
                seen.add(answer.bundle)
                count += 1
                over.wait(0.002)  # clients think for a moment
            return count

        asking = [pool.submit(ask, seed) for seed in range(2)]
        threads = active_count()
        try:
            for number in range(SWAPS):
                engine.bundles.promote("home", bundles[number % len(bundles)])
        finally:
            over.set()
        assert all(each.result() > 0 for each in asking)
        assert active_count() <= threads
        assert len(loaded_now()) <= KEPT + 3
    assert len(seen) > 1


def test_a_promotion_elsewhere_is_taken_up_while_the_old_bundle_answers(copied, monkeypatch):
    monkeypatch.setattr(lineup_module, "LOOK_S", 0.0)
    with Engine.open(copied.root) as engine:
        old = engine.recommend(Ask(scenario="home", user="u1")).bundle
        (report,) = train(copied, TrainRequest(names=["home"], holdout=False), silent)
        answers = [engine.recommend(Ask(scenario="home", user="u1")).bundle for _ in range(50)]
        engine.lineup.take_up()  # waits for the one that is under way
        assert engine.recommend(Ask(scenario="home", user="u1")).bundle == report.bundle
    assert set(answers) <= {old, report.bundle}
    assert answers == sorted(answers)
