"""How the time of a search is shared out, and who is chosen."""

import pytest

from polyscene.jobs.tune.journal import Tried
from polyscene.jobs.tune.plan import BEGINNINGS, SLACK, Limits, Plan, chosen_of, front_of


def trial(kind, score=None, *, end="done", ms=1.0, seconds=10.0, **settings):
    score = score if end == "done" else None
    return Tried(kind=kind, settings=settings, end=end, score=score, request_ms=ms, seconds=seconds)


KINDS = ("a", "b", "c", "d", "e")
LIMITS = Limits(budget_s=100, trials=5)


def test_every_kind_begins_before_one_goes_on():
    plan = Plan(KINDS, LIMITS)
    tried = [trial("a", 0.1, seconds=0.1), trial("b", 0.9, seconds=0.1)]
    assert plan.next(tried, ["c"], 90, ()) == "d"
    assert plan.next(tried, ["c", "d", "e"], 90, ()) in "ab"


def test_what_the_quick_ones_leave_goes_to_those_that_wait():
    plan = Plan(KINDS, LIMITS)
    share = BEGINNINGS / (1 + SLACK)
    assert plan.first_s([], 100) == pytest.approx(share * 100 / 5)
    tried = [trial(kind, 0.1, seconds=1) for kind in KINDS[:3]]
    assert plan.first_s(tried, 90) == pytest.approx(share * 90 / 2)
    # Those that take all they may still leave room for their fits on the test part, and some to search.
    used, tried = 0.0, []
    for kind in KINDS:
        seconds = plan.first_s(tried, plan.left_s(tried, used))
        tried.append(trial(kind, 0.1, seconds=seconds))
        used += seconds
    assert plan.left_s(tried, used) > 0


def test_in_the_first_half_the_least_time_goes_on():
    plan = Plan(KINDS, LIMITS)
    tried = [trial(kind, 0.1, seconds=at + 1) for at, kind in enumerate(KINDS)]
    assert plan.next(tried, [], 60, ()) == "a"
    assert plan.next([*tried, trial("a", 0.1, seconds=1.5, x=1)], [], 60, ()) == "b"
    assert plan.next(tried, ["a"], 60, ()) in "ab"
    assert plan.next(tried, ["a", "a"], 60, ()) == "b"


def test_in_the_second_half_the_three_best_go_on():
    plan = Plan(KINDS, LIMITS)
    tried = [trial(kind, 0.1 * at, seconds=5 - at) for at, kind in enumerate(KINDS)]
    assert plan.next(tried, [], 60, ()) == "e"
    assert plan.next([*tried, trial("e", 0.1, seconds=9, x=1)], [], 40, ()) == "d"
    assert plan.next([*tried, trial("a", 0.9, seconds=0.1, x=1)], [], 40, {"d", "e"}) == "a"
    assert plan.next(tried, [], 40, {"c", "d", "e"}) is None


def test_what_could_not_begin_is_not_tried_again():
    plan = Plan(("a", "b"), LIMITS)
    tried = [trial("a", end="time"), trial("b", 0.1)]
    assert plan.next(tried, [], 90, ()) == "b"


def test_nothing_is_begun_that_does_not_fit_or_was_tried_enough():
    plan = Plan(("a",), LIMITS)
    assert plan.next([trial("a", 0.1)], [], 9, ()) is None
    assert plan.next([trial("a", 0.1)], [], 11, ()) == "a"
    enough = [trial("a", 0.1, seconds=0.1, x=at) for at in range(5)]
    assert plan.next(enough, [], 90, ()) is None
    assert plan.next(enough[1:], ["a"], 90, ()) is None


def test_time_for_the_test_part_is_kept_back():
    plan = Plan(("a", "b"), LIMITS)
    tried = [trial("a", 0.1, seconds=4), trial("b", 0.2, seconds=6)]
    assert plan.left_s(tried, 20) == 100 - SLACK * 10 - 20
    tuned = [*tried, trial("a", 0.3, seconds=8, x=1)]
    assert plan.left_s(tuned, 20) == 100 - SLACK * 18 - 20
    two = Plan(("a", "b"), Limits(budget_s=100, trials=5, workers=2))
    assert two.left_s(tuned, 20) == 100 - SLACK * 9 - 20


def test_the_best_within_the_latency_is_chosen():
    tried = [
        trial("a", 0.2, ms=1.0),
        trial("b", 0.3, ms=9.0),
        trial("a", 0.2, ms=0.5, x=1),
        trial("c", end="behind"),
    ]
    assert chosen_of(tried, None) == tried[1]
    assert chosen_of(tried, 5.0) == tried[0]
    assert chosen_of(tried, 0.7) == tried[2]
    assert chosen_of(tried, 0.1) is None


def test_the_front_is_what_nothing_beats_in_both():
    tried = [
        trial("a", 0.2, ms=1.0),
        trial("b", 0.3, ms=9.0),
        trial("c", 0.1, ms=2.0),
        trial("d", 0.1, ms=0.5),
    ]
    assert front_of(tried) == [tried[3], tried[0], tried[1]]
