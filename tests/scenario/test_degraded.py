"""Stages that raise or hang, a store that is slow or down, worlds with nothing in them: still an answer."""

import time
from dataclasses import dataclass, replace

import numpy as np
import pytest

from polyscene.core.contracts import Effect, Run, State
from polyscene.core.errors import StoreError
from polyscene.dataset.world import World
from polyscene.events.event import ItemPut
from polyscene.events.memory import MemoryLog
from polyscene.retrieve.step import Step, StepPart
from polyscene.scenario import deadline
from polyscene.scenario.answer import Served, recommend, recommend_all
from polyscene.scenario.ask import Ask, HistoryEvent
from polyscene.scenario.file import read_scenario
from polyscene.testing.worlds import nothing

POPULAR = {"scenario": "popular", "slate": 5, "stages": [{"kind": "popular"}]}
HOME = {
    **POPULAR,
    "scenario": "home",
    "fallback": "popular",
    "budget_ms": 50,
    "stages": [{"kind": "covisit"}],
}


class Stage:
    """A ranker that does something before it gives back what it got."""

    effect = frozenset({Effect.SCORES})

    def __init__(self, act) -> None:
        self.act = act

    def __call__(self, queries, slates):
        self.act()
        return slates

    def state(self) -> State:
        return State()


def raises() -> None:
    raise RuntimeError("no memory left")


def hangs() -> None:
    time.sleep(0.5)


@dataclass
class Broken:
    """A sight whose store fails or takes its time."""

    world: object
    act: object

    def __getattr__(self, name: str):
        return getattr(self.world, name)

    def history(self, user: str, last: int):
        self.act()
        return self.world.history(user, last)


def down() -> None:
    raise StoreError("events.db: disk I/O error")


def behind(shop, act, on_error: str = "fail") -> None:
    """Puts a stage that acts behind home's own."""
    shop.fit(POPULAR, HOME)
    here = shop.served["home"]
    step = Step(stage=here.pipeline.parts[0].step.stage, name="ranker", on_error=on_error)
    parts = (*here.pipeline.parts, StepPart(step, Stage(act)))
    shop.served["home"] = replace(here, pipeline=replace(here.pipeline, parts=parts))


def ask(shop, sight=None, skip=None, **asked):
    ask = Ask(scenario="home", **{"user": "u3", "request_id": "r", **asked})
    return recommend(ask, shop.served, sight or shop.world.now, at=shop.at, skip=skip)


def ids(answered) -> list[str]:
    return [each.id for each in answered.answer.items]


def test_an_optional_ranker_that_raises_leaves_the_candidates(shop) -> None:
    behind(shop, lambda: None)
    plain = ids(ask(shop))
    behind(shop, raises, on_error="skip")
    answered = ask(shop)
    assert ids(answered) == plain
    assert answered.answer.degraded
    assert answered.answer.notes == ["home/ranker: failed: no memory left"]


def test_a_ranker_that_raises_gives_way_to_the_fallback(shop) -> None:
    behind(shop, raises)
    answered = ask(shop)
    assert ids(answered) == shop.ids("popular", user="u3")
    assert answered.answer.notes == ["home: no memory left", "0 of 5 items so far; 'popular' fills up"]
    assert ask(shop, skip=answered.skipped).answer.items == answered.answer.items


def test_a_ranker_that_hangs_is_given_up_and_then_left_out(shop) -> None:
    behind(shop, hangs, on_error="skip")
    first = ask(shop)
    assert ids(first) == shop.ids("popular", user="u3")  # nothing of the user's was lost: seen is not shown
    assert first.answer.degraded
    assert first.answer.notes[0] == "home: no answer after 100 ms; the fallback answers"
    again = ask(shop, skip=first.skipped)
    assert again.answer.items == first.answer.items
    second = ask(shop)
    assert second.skipped == ["home/ranker"]
    assert "home/ranker: budget" in second.answer.notes[0]
    assert second.answer.items[0].sources == ["covisit"]


def test_a_store_that_is_down_costs_the_history_and_nothing_else(shop) -> None:
    shop.fit(POPULAR, HOME)
    sight = Broken(shop.world.now, down)
    answered = ask(shop, sight)
    assert len(answered.answer.items) == 5
    assert answered.answer.degraded
    assert "the user's history could not be read: events.db: disk I/O error" in answered.answer.notes[0]
    assert "home/(history)" in answered.skipped
    well = ask(shop, skip=answered.skipped)
    assert well.answer.items == answered.answer.items


def test_a_store_that_is_slow_is_not_waited_for(shop) -> None:
    shop.fit(POPULAR, HOME)
    sight = Broken(shop.world.now, hangs)
    answered = ask(shop, sight)
    assert ids(answered) == shop.ids("popular")  # as to a stranger
    assert answered.answer.notes[0] == "home: no answer after 100 ms; the fallback answers"
    assert "popular: answers without the user's history" in answered.answer.notes
    assert ask(shop, skip=answered.skipped).answer.items == answered.answer.items


def test_helpers_that_hang_do_not_pile_up(monkeypatch) -> None:
    taken = []
    while deadline._places.acquire(blocking=False):
        taken.append(True)
    try:
        with pytest.raises(TimeoutError):
            deadline.within(1.0, lambda: 1)
    finally:
        for _ in taken:
            deadline._places.release()
    assert deadline.within(1.0, lambda: 1) == 1
    with pytest.raises(ZeroDivisionError):
        deadline.within(1.0, lambda: 1 / 0)


def empty_world(*puts: ItemPut):
    log = MemoryLog()
    if puts:
        log.append(puts)
    return World.open(log)


@pytest.fixture
def stranger(shop):
    """Scenarios fitted elsewhere, over a world of one's own."""

    def answer(world, **asked):
        scenario = read_scenario(POPULAR, "test")
        pipeline = scenario.fit(nothing(0), Run(view=world.view))
        served = {"popular": Served(scenario, pipeline, "b")}
        return recommend(Ask(scenario="popular", **asked), served, world.now, at=shop.at).answer

    return answer


def test_an_empty_catalogue_is_told(stranger) -> None:
    answer = stranger(empty_world())
    assert (answer.items, answer.degraded) == ([], False)
    assert answer.notes == ["the catalogue has no items; put some with PUT /v1/items"]


def test_one_item_and_a_filter_that_leaves_none(stranger) -> None:
    world = empty_world(ItemPut(id="only", time=1_767_225_600_000, attributes={"year": 1990}))
    one = stranger(world, k=3)
    assert [shown.id for shown in one.items] == ["only"]
    assert one.notes == ["all 1 items that the rules let through are seen, excluded or shown"]
    none = stranger(world, filter="year > 2000")
    assert none.items == []
    assert none.notes == ["the rules and the filter let no item through"]
    assert stranger(world, exclude=["only"]).items == []


def test_an_unknown_user_and_unknown_items_are_answered_with_a_reason(shop) -> None:
    shop.fit(POPULAR)
    answer = shop.recommend("popular", user="nobody", history=[HistoryEvent(item="unheard")]).answer
    assert len(answer.items) == 5
    assert not answer.degraded
    assert answer.notes == ["user 'nobody' is not known yet; answered like any newcomer"]


def test_hundreds_at_once_get_what_each_gets_alone(shop) -> None:
    """The twin of the batch: one ask at a time."""
    narrow = {**POPULAR, "scenario": "narrow", "fallback": "popular", "where": "year < 1984"}
    mixed = {
        **HOME,
        "stages": [
            {"kind": "union", "of": [{"kind": "covisit", "take": 6}, {"kind": "fresh", "take": 3}]},
            {"kind": "linear_ranker"},
            {"kind": "explore", "epsilon": 0.3},
        ],
    }
    shop.fit(POPULAR, narrow, mixed)
    for scenario in ("home", "narrow", "popular"):
        asks = [
            Ask(scenario=scenario, user=user, k=2 + place % 4, request_id=f"r{place}")
            for place, user in enumerate([None, "stranger", *(f"u{n}" for n in range(30))])
        ]
        together = recommend_all(asks, shop.served, shop.world.now, at=shop.at)
        for one, many in zip(asks, together, strict=True):
            alone = recommend(one, shop.served, shop.world.now, at=shop.at, skip=())
            assert many.skipped == alone.skipped
            assert many.answer.notes == alone.answer.notes
            assert [each.id for each in many.answer.items] == [each.id for each in alone.answer.items]
            for ours, theirs in zip(many.answer.items, alone.answer.items, strict=True):
                assert np.isclose(ours.score, theirs.score, atol=1e-5)
                assert (ours.propensity, ours.because) == (theirs.propensity, theirs.because)
    assert recommend_all([], shop.served, shop.world.now, at=shop.at) == []


def test_negatives_hold_for_all_ways_of_turning_something_down(shop) -> None:
    negative = {"hide": 1.0, "not_genre": "genre"}
    shop.fit({**POPULAR, "seen": "keep", "negative": negative, "slate": 20})
    crime = {f"i{n}" for n in range(2, 20, 3)}
    assert crime <= set(shop.ids("popular", user="u3"))
    shop.post("u3", "i2", "not_genre", hour=910)
    shop.post("u3", "i0", "hide", hour=911)
    found = set(shop.ids("popular", user="u3"))
    assert not found & {*crime, "i0"}
    assert crime <= set(shop.ids("popular", user="u4"))
    shop.post("u3", "i2", "play", hour=912)
    assert set(shop.ids("popular", user="u3")) == {f"i{n}" for n in range(20)} - {"i0"}


def test_what_was_turned_down_long_ago_stays_away(shop) -> None:
    shop.fit({**POPULAR, "seen": "keep", "negative": {"hide": 1.0}, "history": 2})
    shop.post("u3", "i1", "hide", hour=901)
    for hour in range(902, 950):
        shop.post("u3", "i5", "play", hour=hour)
    assert "i1" not in shop.ids("popular", user="u3", k=20)


def test_items_are_shown_within_their_window_region_and_stock(shop) -> None:
    shop.fit(POPULAR, {**POPULAR, "scenario": "all", "availability": False})
    hour = 3_600_000
    shop.put("i1", available_from=shop.at + hour)
    shop.put("i2", available_until=shop.at)
    shop.put("i3", regions=["de", "at"])
    shop.put("i4", stock=0)
    gone = {"i1", "i2", "i4"}
    everything = {f"i{n}" for n in range(20)}
    assert set(shop.ids("popular", k=20)) == everything - gone
    assert set(shop.ids("popular", k=20, context={"region": "fr"})) == everything - gone - {"i3"}
    assert set(shop.ids("popular", k=20, context={"region": "de"})) == everything - gone
    assert set(shop.ids("all", k=20)) == everything
