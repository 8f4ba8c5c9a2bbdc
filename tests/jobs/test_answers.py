"""Scrolls and pages without repeats, whatever happens in between; each part of them logged by itself."""

import pytest

from polyscene.core.contracts import silent
from polyscene.core.errors import ConflictError, InputError, NotFoundError
from polyscene.events.event import Event
from polyscene.jobs import scroll
from polyscene.jobs.engine import Engine
from polyscene.jobs.train import TrainRequest, train
from polyscene.scenario.ask import Ask, PageAsk, PageRow

NOW = 1_790_000_000_000
RELATED = """
scenario = "related"
anchors = "context"
slate = 3
seen = "keep"
fallback = "popular"

[[stages]]
kind = "covisit"
"""


def ids(answer):
    return [shown.id for shown in answer.items]


def scrolled(engine, **asked):
    """All pages of a scroll, as they come."""
    cursor, pages = None, []
    while cursor != "":
        answer = engine.recommend(Ask(**asked, cursor=cursor))
        pages.append(answer)
        cursor = answer.cursor
    return pages


def test_a_scroll_shows_everything_once_and_ends_with_an_empty_cursor(running):
    pages = scrolled(running, scenario="home", k=5)
    shown = [item for page in pages for item in ids(page)]
    assert sorted(shown) == sorted(f"i{n}" for n in range(16))
    assert [len(page.items) for page in pages] == [5, 5, 5, 1]
    assert pages[-1].notes[-1] == "all 16 items that the rules let through are seen, excluded or shown"
    for page in pages:
        assert ids(running.replay(page.request_id)) == ids(page)
        assert running.replay(page.request_id) == page


def test_events_and_a_new_bundle_in_between_bring_nothing_twice(copied, running):
    first = running.recommend(Ask(scenario="home", user="u1", k=4))
    unseen = next(item for item in ("i9", "i11", "i13", "i15", "i0") if item not in ids(first))
    running.intake.events([Event(id="e-x", user="u1", item=unseen, time=NOW)])
    train(copied, TrainRequest(names=["home"], holdout=False), silent)
    running.lineup.take_up()
    second = running.recommend(Ask(scenario="home", user="u1", k=4, cursor=first.cursor))
    third = running.recommend(Ask(scenario="home", user="u1", k=4, cursor=second.cursor))
    assert second.bundle != first.bundle
    shown = [*ids(first), *ids(second), *ids(third)]
    assert len(shown) == len(set(shown)) == 11  # of 16 the user has seen 5
    assert unseen not in [*ids(second), *ids(third)]
    assert ids(running.replay(second.request_id)) == ids(second)


def test_a_scroll_goes_on_twice_from_the_same_cursor_and_under_an_id_once(running):
    first = running.recommend(Ask(scenario="home", k=4))
    again = Ask(scenario="home", k=4, cursor=first.cursor, request_id="page-2")
    second = running.recommend(again)
    assert running.recommend(again) == second
    with pytest.raises(ConflictError, match="'page-2' stands for another ask"):
        running.recommend(Ask(scenario="home", k=4, request_id="page-2"))


@pytest.mark.parametrize("cursor", ["x", "é", "AAAA", "%%%", "A" * 4000])
def test_a_cursor_that_was_changed_is_refused(running, cursor):
    with pytest.raises(InputError, match="send it as it came"):
        running.recommend(Ask(scenario="home", cursor=cursor))
    good = running.recommend(Ask(scenario="home", k=2)).cursor
    with pytest.raises(InputError, match="send it as it came"):
        running.recommend(Ask(scenario="home", cursor=good[:-2] + "zz"))


def test_a_cursor_is_good_for_its_own_scenario_and_user_only(running):
    cursor = running.recommend(Ask(scenario="home", user="u1", k=2)).cursor
    with pytest.raises(InputError, match="belongs to user 'u1', this ask is for 'u2'"):
        running.recommend(Ask(scenario="home", user="u2", k=2, cursor=cursor))
    with pytest.raises(InputError, match="belongs to scenario 'home'"):
        running.recommend(Ask(scenario="popular", user="u1", k=2, cursor=cursor))


def test_a_scroll_is_bounded(running, monkeypatch):
    monkeypatch.setattr(scroll, "LONGEST", 6)
    first = running.recommend(Ask(scenario="home", k=4))
    second = running.recommend(Ask(scenario="home", k=4, cursor=first.cursor))
    assert (bool(first.cursor), second.cursor) == (True, "")


def test_a_scroll_whose_user_was_erased_is_forgotten(running):
    cursor = running.recommend(Ask(scenario="home", user="u1", k=2)).cursor
    running._log.flush()
    running._log.erase_user("u1", NOW)
    with pytest.raises(NotFoundError, match="start anew without a cursor"):
        running.recommend(Ask(scenario="home", user="u1", k=2, cursor=cursor))


def test_a_page_shows_no_item_twice_and_each_row_replays(running):
    rows = [PageRow(scenario="home", k=4), PageRow(scenario="popular", k=5), PageRow(scenario="home", k=2)]
    page = running.answers.page(PageAsk(rows=rows, user="u1", exclude=["i12"], request_id="front"))
    shown = [item for row in page.rows for item in ids(row)]
    assert len(shown) == len(set(shown)) == 11
    assert "i12" not in shown
    assert [row.request_id for row in page.rows] == ["front/0", "front/1", "front/2"]
    for row in page.rows:
        assert running.replay(row.request_id) == row
    again = running.answers.page(PageAsk(rows=rows, user="u1", exclude=["i12"], request_id="front"))
    assert again == page
    with pytest.raises(ConflictError, match="'front/0' stands for another ask"):
        running.answers.page(PageAsk(rows=rows, user="u2", request_id="front"))


def test_a_row_that_fails_is_told_and_the_others_stand(running):
    rows = [
        PageRow(scenario="nowhere"),
        PageRow(scenario="home", k=3),
        PageRow(scenario="home", filter="yeer > 3"),
    ]
    page = running.answers.page(PageAsk(rows=rows))
    assert [len(row.items) for row in page.rows] == [0, 3, 0]
    assert page.degraded
    assert "'nowhere' is not served" in page.rows[0].notes[0]
    assert "did you mean 'year'" in page.rows[2].notes[0]


def test_similar_finds_the_anchored_scenario(copied, running):
    with pytest.raises(NotFoundError, match="no scenario with anchors"):
        running.answers.anchored()
    (copied.root / "scenarios" / "related.toml").write_text(RELATED, encoding="utf-8")
    train(copied, TrainRequest(names=["related"], holdout=False), silent)
    with pytest.raises(NotFoundError):
        running.answers.anchored()  # a new file is read at the next start
    running.close()
    with Engine.open(copied.root) as engine:
        name = engine.answers.anchored()
        found = engine.recommend(Ask(scenario=name, context={"anchors": ["i0"]}))
        assert (name, ids(found)[0]) == ("related", "i2")
        unknown = engine.recommend(Ask(scenario=name, context={"anchors": ["never put"]}))
        assert len(unknown.items) == 3
        assert "none of the anchors is a known item" in unknown.notes


def test_what_can_not_be_logged_is_answered_all_the_same(copied):
    engine = Engine.open(copied.root)
    engine.recommend(Ask(scenario="home", user="u1", k=3))  # whoever was asked for is in memory
    engine.close()
    answer = engine.recommend(Ask(scenario="home", user="u1", k=3))
    assert len(answer.items) == 3
    assert (answer.degraded, answer.cursor) == (True, "")
    assert "not logged" in answer.notes[-1]
