"""The walk, from raw events to feedback, on a cinema of twelve films. Read it from top to bottom.

Two circles of visitors: some watch thrillers, some watch comedies, each in the order of the numbers.
"""

import polars as pl
import pytest

from polyscene.core.clock import FixedClock
from polyscene.core.contracts import silent
from polyscene.events.event import Event, ItemPut
from polyscene.jobs.engine import Engine
from polyscene.jobs.ingest import ingest
from polyscene.jobs.train import TrainRequest, train
from polyscene.jobs.workspace import Workspace
from polyscene.scenario.ask import Ask, HistoryEvent

DAY = 86_400_000
MONDAY = 1_767_571_200_000  # 2026-01-05, UTC milliseconds
FILMS = 6

HOME = """
scenario = "home"
slate = 4
fallback = "popular"

[[stages]]
kind = "union"
of = [{ kind = "covisit", take = 6 }, { kind = "fresh", take = 2 }]

[[stages]]
kind = "linear_ranker"

[[stages]]
kind = "explore"
epsilon = 0.02
"""
POPULAR = """
scenario = "popular"
slate = 4

[[stages]]
kind = "popular"
"""
NEXT = """
scenario = "next"
anchors = "context"

[[stages]]
kind = "covisit"
"""


def film(genre: str, number: int) -> str:
    """``t0 .. t5`` are thrillers, ``c0 .. c5`` comedies."""
    return f"{genre}{number % FILMS}"


@pytest.fixture(scope="module")
def cinema(tmp_path_factory):
    """1. A folder of raw files, as a team would have them."""
    folder = tmp_path_factory.mktemp("raw")
    events = [
        {
            "visitor": f"{genre}-{name}",
            "film": film(genre, name + step),
            "watched": MONDAY // 1000 + name * 60 + step,
        }
        for genre in "tc"
        for name in range(20)
        for step in range(4)
    ]
    films = [
        {"film": film(genre, number), "title": f"{word} {number}", "year": 1990 + number, "genres": [word]}
        for genre, word in (("t", "Thriller"), ("c", "Comedy"))
        for number in range(FILMS)
    ]
    pl.DataFrame(events).write_csv(folder / "events.csv")
    pl.DataFrame(films).write_ndjson(folder / "items.jsonl")
    return folder


@pytest.fixture(scope="module")
def workspace(cinema, tmp_path_factory):
    """2. A workspace: the files cleaned into its log, three scenarios, each fitted and promoted."""
    space = Workspace.create(tmp_path_factory.mktemp("cinema"))
    for starter in (space.root / "scenarios").iterdir():
        starter.unlink()
    for name, recipe in {"home": HOME, "popular": POPULAR, "next": NEXT}.items():
        (space.root / "scenarios" / f"{name}.toml").write_text(recipe, encoding="utf-8")

    columns = {"user": "visitor", "item": "film", "time": "watched"}
    report = ingest(space, str(cinema), columns, silent)
    assert report.accepted == 20 * 2 * 4 + 2 * FILMS
    assert ingest(space, str(cinema), columns, silent).accepted == 0  # the same rows again add nothing

    fitted = train(space, TrainRequest(holdout=False), silent)
    assert [each.scenario for each in fitted] == ["home", "next", "popular"]
    assert all(space.shelf().current(each.scenario) == each.bundle for each in fitted)
    return space


@pytest.fixture
def clock():
    return FixedClock(MONDAY + DAY)


@pytest.fixture
def engine(workspace, clock):
    with Engine.open(workspace.root, clock=clock) as engine:
        yield engine


def watch(engine: Engine, user: str, item: str, clock: FixedClock) -> None:
    clock.at += 1_000
    engine.intake.events([Event(id=f"{user}:{item}:{clock.at}", user=user, item=item, time=clock.at)])


def items(answer) -> list[str]:
    return [shown.id for shown in answer.items]


def test_a_user_nobody_saw_in_training_is_an_ordinary_query(engine):
    """3. Users are their histories: a visitor who saw t1 and t2 gets the thriller that follows."""
    ask = Ask(
        scenario="home", history=[HistoryEvent(item="t1"), HistoryEvent(item="t2")], request_id="visitor-1"
    )
    answer = engine.recommend(ask)
    first = answer.items[0]
    assert (first.id, first.because) == ("t3", "t2")
    assert "covisit" in first.sources
    assert not {"t1", "t2"} & set(items(answer))


def test_an_event_that_was_acknowledged_is_in_the_next_answer(engine, clock):
    """4. The same user, one click later: another slate, and what was watched is gone from it."""
    watch(engine, "ana", "t1", clock)
    before = engine.recommend(Ask(scenario="home", user="ana", request_id="ana-1"))
    watch(engine, "ana", "c4", clock)
    after = engine.recommend(Ask(scenario="home", user="ana", request_id="ana-2"))
    assert items(before)[0] == "t2"
    assert items(after)[0] == "c5"
    assert "c4" not in items(after)


def test_an_item_put_a_moment_ago_is_shown_and_the_answer_can_be_replayed(engine, clock):
    """5. Put → in a slate → replayed: the walk's own promise, and the reason for dated puts."""
    watch(engine, "ben", "t1", clock)
    clock.at += DAY
    attributes = {"title": "Thriller, the sequel", "year": 2026, "genres": ["Thriller"]}
    engine.intake.items([ItemPut(id="t-new", time=clock.at, attributes=attributes)])
    clock.at += 1_000
    answer = engine.recommend(Ask(scenario="home", user="ben", request_id="ben-1"))
    shown = {each.id: each for each in answer.items}
    assert "fresh" in shown["t-new"].sources

    clock.at += DAY  # the world moves on: more events, and an even newer film
    watch(engine, "ben", "c1", clock)
    engine.intake.items([ItemPut(id="c-new", time=clock.at, attributes={"title": "Comedy, the remake"})])
    clock.at += 1_000
    assert "c-new" in items(engine.recommend(Ask(scenario="home", user="ben", request_id="ben-2")))

    again = engine.replay("ben-1")
    assert items(again) == items(answer)
    assert [each.score for each in again.items] == pytest.approx(
        [each.score for each in answer.items], abs=1e-5
    )
    assert [each.propensity for each in again.items] == [each.propensity for each in answer.items]


def test_the_trace_tells_where_every_candidate_came_from_and_went(engine, clock):
    """6. Nobody has to guess why: sources, scores, and the stage that dropped each candidate."""
    watch(engine, "cleo", "c1", clock)
    engine.recommend(Ask(scenario="home", user="cleo", request_id="cleo-1"))
    trace = engine.trace("cleo-1")
    home = trace["chain"][0]
    assert [stage["name"] for stage in home["stages"]][-1] == "explore"
    shown = [row for row in home["candidates"] if "place" in row]
    dropped = [row for row in home["candidates"] if "place" not in row]
    assert [row["item"] for row in shown] == [each["id"] for each in trace["items"]][: len(shown)]
    assert all(row["dropped"] for row in dropped)


def test_rules_are_pushed_down_and_an_empty_slate_falls_back(engine):
    """7. A filter narrows what may be a candidate at all; what home can't fill, popular does."""
    answer = engine.recommend(
        Ask(
            scenario="home",
            filter='genres has any ["Comedy"] and year >= 1993',
            k=3,
            request_id="filtered-1",
        )
    )
    assert {each.id for each in answer.items} <= {"c3", "c4", "c5"}
    assert len(answer.items) == 3


def test_a_refit_from_the_live_log_knows_what_happened_since(workspace, clock):
    """8. Feedback: what was watched today is in tomorrow's bundle; the old one is one command away."""
    with Engine.open(workspace.root, clock=clock) as engine:
        for number in range(30):
            watch(engine, f"fan-{number}", "t0", clock)
            watch(engine, f"fan-{number}", "c0", clock)
    old = workspace.shelf().current("next")
    train(workspace, TrainRequest(names=["next"], holdout=False), silent)
    after_t0 = Ask(scenario="next", context={"anchors": ["t0"]})
    with Engine.open(workspace.root, clock=clock) as engine:
        assert items(engine.recommend(after_t0))[0] == "c0"
    assert workspace.shelf().roll_back("next") == old
    with Engine.open(workspace.root, clock=clock) as engine:
        assert items(engine.recommend(after_t0))[0] == "t1"
