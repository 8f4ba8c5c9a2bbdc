import pytest

from polyscene.core.clock import DAY_MS, FixedClock
from polyscene.core.contracts import silent
from polyscene.core.errors import NotFoundError, StoreError
from polyscene.events.event import Event
from polyscene.jobs.engine import Engine
from polyscene.jobs.tasks import QualityArguments, Task, quality
from polyscene.jobs.workspace import NEWEST_QUALITY, Workspace
from polyscene.scenario.ask import Ask
from polyscene.testing.service import tiny_workspace
from polyscene.testing.worlds import START_MS

NOW = START_MS + 30 * DAY_MS


@pytest.fixture
def root(tmp_path):
    return tiny_workspace(tmp_path / "workspace").root


@pytest.fixture
def engine(root):
    with Engine.open(root, clock=FixedClock(NOW)) as engine:
        yield engine


def test_the_state_follows_the_log(engine):
    before = engine.insight.state()
    assert (before.users, before.items, before.untrained) == (24, 16, [])
    assert before.newest_event == START_MS + 3 * DAY_MS
    assert {each.scenario: each.behind for each in before.in_service} == {
        "home": 0,
        "next": 0,
        "popular": 0,
    }
    engine.intake.events([Event(id="new", user="u1", item="i1", time=NOW)])
    after = engine.insight.state()
    assert after.newest_event == NOW
    assert after.position == after.absorbed == before.position + 1
    assert {each.behind for each in after.in_service} == {1}
    assert after.log_bytes > 0 < after.disk_free <= after.disk_total


def test_a_recipe_tells_stages_costs_and_that_the_file_changed(engine, root):
    engine.recommend(Ask(scenario="home", user="u1"))
    found = engine.insight.recipe("home")
    assert [stage.role for stage in found.stages] == ["union", "explore"]
    assert [(each.name, each.take) for each in found.stages[0].of] == [
        ("covisit", 8),
        ("popular", 8),
        ("fresh", 4),
    ]
    assert found.stages[1].settings == {"epsilon": 0.2}
    assert found.stages[0].ms > 0
    assert (found.changed, found.file) == (False, "home.toml")
    path = root / "scenarios" / "home.toml"
    path.write_text(path.read_text(encoding="utf-8").replace("0.2", "0.3"), encoding="utf-8")
    changed = engine.insight.recipe("home")
    assert changed.changed
    assert changed.stages[1].settings == {"epsilon": 0.2}, "the bundle's, until the next fit"
    path.write_text("scenario = ", encoding="utf-8")
    broken = engine.insight.recipe("home")
    assert (broken.text, broken.changed) == ("", False)
    assert "home.toml" in broken.file_problem


@pytest.mark.parametrize("name", ["nobody", "../polyscene", "home.toml", ""])
def test_only_a_scenario_has_a_recipe(engine, name):
    with pytest.raises(NotFoundError, match="no scenario"):
        engine.insight.recipe(name)


def test_a_recipe_of_what_was_never_trained_is_the_files(tmp_path):
    Workspace.create(tmp_path)
    with Engine.open(tmp_path) as engine:
        found = engine.insight.recipe("home")
        assert (found.bundle, found.stages[0].ms) == (None, None)
        assert found.stages[0].of[0].optional
        assert "home" in engine.insight.state().untrained


def test_a_rehearsal_is_the_answer_that_would_be_given_and_leaves_no_trace(engine):
    ask = Ask(scenario="home", user="u1", request_id="r1")
    rehearsed = engine.rehearse(ask)
    assert engine.insight.requests(None, 10) == []
    assert engine.recommend(ask).items == rehearsed.answer.items
    assert rehearsed.trace["chain"][0]["candidates"]


def test_requests_and_days_tell_what_was_shown(engine):
    shown = engine.recommend(Ask(scenario="home", user="u1", request_id="r1")).items
    engine.recommend(Ask(scenario="popular", request_id="r2"))
    engine.answers._log.flush()
    mine = engine.insight.requests("u1", 10)
    assert [(each.request_id, each.count) for each in mine] == [("r1", len(shown))]
    assert mine[0].items == [each.id for each in shown][:5]
    assert {each.request_id for each in engine.insight.requests(None, 10)} == {"r1", "r2"}
    days = engine.insight.item_days(shown[0].id)
    assert [(each.day, each.action) for each in days][-1] == (NOW // DAY_MS * DAY_MS, "exposure")
    assert engine.insight.item_days("nobody") == []


def test_the_newest_report_on_the_data_is_kept(engine, root):
    assert engine.insight.quality() is None
    task = Task(Workspace.open(root), None, "job", silent, lambda part, parts: None)
    counts = quality(task, QualityArguments())
    report = engine.insight.quality()
    assert dict(report.facts)["events"] == "96"
    assert counts["bad"] == report.count("bad")
    (root / NEWEST_QUALITY).write_text("{", encoding="utf-8")
    with pytest.raises(StoreError, match="start the job 'quality' again"):
        engine.insight.quality()
