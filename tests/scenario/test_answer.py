"""Asks answered: histories, rules, fallbacks, exploration, traces and replays."""

import json
import tomllib
from pathlib import Path

import pytest

from polyscene.core.errors import ConfigError, FilterError, InputError, NotFoundError
from polyscene.rules.eligible import Rules
from polyscene.scenario.answer import recommend
from polyscene.scenario.ask import Ask, HistoryEvent
from polyscene.scenario.trace import rows

STARTER = Path(__file__).parents[2] / "scenarios"
POPULAR = {"scenario": "popular", "slate": 5, "stages": [{"kind": "popular"}]}
HOME = {
    "scenario": "home",
    "slate": 5,
    "fallback": "popular",
    "stages": [
        {"kind": "union", "of": [{"kind": "popular", "take": 12}, {"kind": "fresh", "take": 4}]},
        {"kind": "linear_ranker", "on_error": "skip"},
        {"kind": "mmr", "mix": 0.7},
        {"kind": "explore", "epsilon": 0.5},
    ],
}


def test_an_answer_is_full_unseen_and_repeatable(shop) -> None:
    shop.fit(POPULAR, HOME)
    first = shop.recommend("home", user="u3", request_id="r1")
    answer = first.answer
    assert [shown.position for shown in answer.items] == [0, 1, 2, 3, 4]
    assert not {shown.id for shown in answer.items} & {"i0", "i4", "i5", "i6", "i7"}
    assert (answer.request_id, answer.bundle, answer.degraded, answer.notes) == (
        "r1",
        "bundle-home",
        False,
        [],
    )
    assert all(shown.sources and 0 < shown.propensity < 1 for shown in answer.items)
    shop.reload("home")
    assert shop.recommend("home", user="u3", request_id="r1", skip=first.skipped).answer == answer
    other = shop.recommend("home", user="u3", request_id="r2")
    assert other.seed != first.seed


def test_a_request_without_an_id_gets_one(shop) -> None:
    shop.fit(POPULAR)
    assert shop.recommend("popular").answer.request_id != shop.recommend("popular").answer.request_id


def test_unknown_users_and_items_are_no_error(shop) -> None:
    shop.fit(POPULAR)
    everybody = shop.ids("popular")
    assert shop.ids("popular", user="never seen") == everybody
    sent = [HistoryEvent(item="no such item"), HistoryEvent(item=everybody[0], action="new action")]
    assert shop.ids("popular", history=sent, exclude=["nothing", everybody[1]])[0] == everybody[2]


def test_a_history_that_is_sent_stands_in_for_the_known_one(shop) -> None:
    shop.fit({**POPULAR, "seen": "keep", "negative": {"hide": 1.0}})
    hidden = [HistoryEvent(item="i0", action="hide")]
    assert "i0" in shop.ids("popular", user="u3")
    assert "i0" not in shop.ids("popular", user="u3", history=hidden)
    assert "i0" not in shop.ids("popular", history=hidden)


def test_an_event_posted_changes_the_next_answer(shop) -> None:
    shop.fit(POPULAR)
    best = shop.ids("popular", user="new")[0]
    shop.post("new", best)
    assert best not in shop.ids("popular", user="new")


def test_filter_rule_exclusions_and_k(shop) -> None:
    shop.fit({**POPULAR, "where": "year >= 1990"})
    assert set(shop.ids("popular", k=20)) <= {f"i{n}" for n in range(10, 20)}
    found = shop.ids("popular", k=20, filter="genre = 'crime'", exclude=["i11"])
    assert set(found) == {"i14", "i17"}
    with pytest.raises(FilterError, match="did you mean 'genre'"):
        shop.recommend("popular", filter="genr = 'crime'")


def test_anchors_stand_in_for_the_history_and_are_not_shown(shop) -> None:
    shop.fit({**POPULAR, "scenario": "related", "anchors": "context", "seen": "keep"})
    found = shop.ids("related", context={"anchors": ["i0", "unknown"]}, user="u3")
    assert "i0" not in found
    assert found[0] in {"i4", "i5", "i6", "i7"}
    with pytest.raises(InputError, match=r"works from the items at hand; send their ids"):
        shop.recommend("related")
    with pytest.raises(InputError, match="expected a list of item ids"):
        shop.recommend("related", context={"anchors": "i0"})
    with pytest.raises(InputError, match=r"context\.device"):
        shop.recommend("related", context={"anchors": [], "device": {}})


def test_the_fallback_fills_up_without_repeating(shop) -> None:
    narrow = {**POPULAR, "scenario": "narrow", "fallback": "popular", "where": "year < 1983"}
    shop.fit(POPULAR, narrow)
    answer = shop.recommend("narrow").answer
    ids = [shown.id for shown in answer.items]
    assert len(ids) == len(set(ids)) == 5
    assert set(ids[:3]) == {"i0", "i1", "i2"}
    assert answer.degraded
    assert answer.notes == ["3 of 5 items so far; 'popular' fills up"]
    assert [shown.position for shown in answer.items] == [0, 1, 2, 3, 4]


def test_a_scenario_that_fails_is_replaced_and_the_replay_replaces_it_too(shop) -> None:
    shop.fit(POPULAR, {**POPULAR, "scenario": "broken", "fallback": "popular"})
    part = shop.served["broken"].pipeline.parts[0].part
    part.counts[:] = float("nan")
    first = shop.recommend("broken", request_id="r")
    assert [shown.id for shown in first.answer.items] == shop.ids("popular")
    assert first.skipped == ["broken"]
    assert "scores that are not numbers" in first.answer.notes[0]
    part.counts[:] = 1
    again = shop.recommend("broken", request_id="r", skip=first.skipped)
    assert again.answer.items == first.answer.items


def test_a_rule_over_a_column_that_is_gone_degrades_but_a_wrong_filter_is_told(shop) -> None:
    shop.fit(POPULAR)
    shop.fit({**POPULAR, "scenario": "ruled", "fallback": "popular"})
    here = shop.served["ruled"]
    here.resolver.rules = Rules(None, "stars > 3")
    assert shop.ids("ruled") == shop.ids("popular")
    with pytest.raises(FilterError, match="stars"):
        shop.recommend("ruled", filter="stars > 3")


def test_unknown_scenarios_are_not_found(shop) -> None:
    shop.fit(POPULAR)
    with pytest.raises(NotFoundError, match="did you mean 'popular'"):
        shop.recommend("populr")


def test_a_skipped_stage_is_in_the_mask_and_the_replay_skips_it(shop) -> None:
    shop.fit(POPULAR, {**HOME, "budget_ms": 5_000})
    plain = shop.recommend("home", user="u1", request_id="r")
    shop.served["home"].pipeline.costs.ms["linear_ranker"] = 10_000.0
    hurried = shop.recommend("home", user="u1", request_id="r")
    assert hurried.skipped == ["home/linear_ranker"]
    assert hurried.answer.degraded
    assert hurried.answer.notes[0].startswith("home/linear_ranker: budget")
    assert [each.score for each in hurried.answer.items] != [each.score for each in plain.answer.items]
    shop.served["home"].pipeline.costs.ms.clear()
    again = shop.recommend("home", user="u1", request_id="r", skip=hurried.skipped)
    assert again.answer.items == hurried.answer.items


def test_the_trace_tells_every_candidate(shop) -> None:
    shop.fit(POPULAR, HOME)
    answered = shop.recommend("home", user="u3")
    trace = answered.trace["chain"][0]
    json.dumps(answered.trace, allow_nan=False)
    assert trace["excluded"] == 5
    assert trace["allowed"] == 20
    assert [stage["name"] for stage in trace["stages"]] == [
        "popular",
        "fresh",
        "union",
        "linear_ranker",
        "mmr",
        "explore",
    ]
    table = rows(trace)
    shown = [row for row in table if row["dropped"] == ""]
    assert [row["item"] for row in table[:5]] == [each.id for each in answered.answer.items]
    assert len(shown) == 5
    assert {row["dropped"] for row in table[5:]} == {"explore"}
    assert not {row["item"] for row in table} & {"i0", "i4", "i5", "i6", "i7"}
    best = table[0]
    assert best["place"] == 0
    assert {"rank:popular", "rank:fresh"} & set(best)
    assert {"score:popular", "after:union", "after:linear_ranker"} <= set(best)
    assert "after:mmr" not in best


def test_what_is_below_the_last_place_was_cut(shop) -> None:
    shop.fit({**POPULAR, "stages": [{"kind": "popular", "take": 9}]})
    table = rows(shop.recommend("popular").trace["chain"][0])
    assert [row["dropped"] for row in table] == [""] * 5 + ["cut"] * 4


def test_an_item_put_now_is_in_the_next_slate_and_in_its_replay(shop) -> None:
    """The walk of a new item: put, in a slate through freshness, replayed as of then."""
    shop.fit(POPULAR, {**POPULAR, "scenario": "new", "stages": [{"kind": "fresh"}]}, HOME)
    before = shop.world.now
    shop.put("brand new", genre="western", year=2026)
    first = shop.recommend("new", request_id="r")
    assert first.answer.items[0].id == "brand new"
    assert first.answer.items[0].sources == ["fresh"]
    assert shop.ids("new", filter="genre = 'western'", k=1) == ["brand new"]
    assert "brand new" in {row["item"] for row in rows(shop.recommend("home").trace["chain"][0])}
    ask = Ask(scenario="new", request_id="r")
    logged = shop.world.now
    shop.put("newer still")
    again = recommend(ask, shop.served, logged, at=shop.at, skip=first.skipped)
    assert "newer still" not in [each.id for each in again.answer.items]
    old = recommend(ask, shop.served, before, at=shop.at, skip=[])
    assert "brand new" not in [each.id for each in old.answer.items]


def test_the_scenario_files_fit_answer_and_come_back(shop) -> None:
    raws = [tomllib.loads(path.read_text(encoding="utf-8")) for path in sorted(STARTER.glob("*.toml"))]
    for raw in raws:
        for member in raw["stages"][0].get("of", []):
            if member["kind"] == "foundation":
                member.update(epochs=1, dim=8, layers=1)
    shop.fit(*raws)
    asks = {"related": {"context": {"anchors": ["i3"]}}}
    for name in shop.served:
        asked = {"user": "u3", "k": 8, "request_id": name, **asks.get(name, {})}
        first = shop.recommend(name, skip=[], **asked).answer
        assert len(first.items) == 8
        assert not first.degraded, first.notes
        shop.reload(name)
        again = shop.recommend(name, skip=[], **asked).answer
        assert [each.id for each in again.items] == [each.id for each in first.items]
        assert [each.score for each in again.items] == pytest.approx(
            [each.score for each in first.items], abs=1e-5
        )
    home = shop.recommend("home", user="u3", skip=[]).answer
    assert {source for each in home.items for source in each.sources} >= {"foundation", "covisit", "ease"}
    assert any(each.because in {"i0", "i4", "i5", "i6", "i7"} for each in home.items)


def test_fallbacks_that_are_not_served_end_the_chain(shop) -> None:
    shop.fit({**POPULAR, "scenario": "narrow", "fallback": "popular", "where": "year < 1983"})
    answer = shop.recommend("narrow").answer
    assert len(answer.items) == 3


def test_a_scenario_without_a_ranker_before_a_retriever_cannot_be_made(shop) -> None:
    with pytest.raises(ConfigError):
        shop.fit({"scenario": "x", "stages": [{"kind": "mmr"}]})
