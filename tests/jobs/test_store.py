"""A workspace whose log is on a PostgreSQL server does all that one with a file does, and says the same."""

import httpx
import numpy as np
import polars as pl
import pytest

from polyscene.core.clock import DAY_MS, FixedClock
from polyscene.core.contracts import silent
from polyscene.core.errors import ConfigError, NotFoundError
from polyscene.dataset.world import World
from polyscene.events.event import Event, ItemPut
from polyscene.jobs.backup import log_file
from polyscene.jobs.doctor import examine
from polyscene.jobs.engine import Engine
from polyscene.jobs.ingest import ingest
from polyscene.jobs.parquet import export_log
from polyscene.jobs.workspace import Workspace
from polyscene.scenario.ask import Ask
from polyscene.testing.service import live, tiny_workspace
from polyscene.testing.worlds import START_MS

NOW = START_MS + 30 * DAY_MS


@pytest.fixture
def settings(postgres, monkeypatch):
    dsn, schema = postgres
    monkeypatch.setenv("POLYSCENE_DSN", dsn)
    return f'[store]\nkind = "postgres"\nschema = "{schema}"\n'


def given(root, settings=""):
    root.mkdir(exist_ok=True)
    (root / "polyscene.toml").write_text(settings, encoding="utf-8")
    return root


def answers(engine, asks):
    found = [engine.recommend(ask) for ask in asks]
    return [[(shown.id, shown.score) for shown in answer.items] for answer in found]


def test_the_walk_over_a_server(tmp_path, settings):
    root = given(tmp_path / "space", settings)
    space = tiny_workspace(root)
    assert not list(root.glob("events.db*"))
    films = pl.DataFrame({"user": ["n", "n"], "item": ["i1", "i3"], "time": [START_MS // 1000] * 2})
    films.write_csv(tmp_path / "more.csv")
    assert ingest(space, str(tmp_path / "more.csv"), {}, silent).accepted == 2
    assert ingest(space, str(tmp_path / "more.csv"), {}, silent).accepted == 0
    with live(root) as url, httpx.Client(base_url=url) as client:
        assert client.get("/readyz").status_code == 200
        event = {"id": "live", "user": "u3", "item": "i11"}
        assert client.post("/v1/events", json={"events": [event]}).json()["accepted"] == 1
        asked = {"scenario": "next", "user": "u3", "request_id": "r-1"}
        slate = client.post("/v1/recommend", json=asked).json()["items"]
        assert slate[0]["id"] == "i13"
    with Engine.open(root) as engine:
        engine.intake.events([Event(id="later", user="u3", item="i2", time=NOW)])
        again = engine.replay("r-1")
        assert [shown.id for shown in again.items] == [shown["id"] for shown in slate]
        engine.intake.erase("u3")
        with pytest.raises(NotFoundError):
            engine.replay("r-1")
    findings = {finding.what: finding for finding in examine(root)}
    assert findings["log"].verdict == "ok"
    assert findings["log"].found.startswith("117 records, 25 users, 16 items")
    assert "log server" not in findings or findings["log server"].found.startswith(
        "the server's fsync is off"
    )
    with space.reader() as log:
        assert export_log(log, tmp_path / "export").position == 117
    with pytest.raises(ConfigError, match="its log is in PostgreSQL; use pg_dump"):
        log_file(space)


def test_world_answers_and_replays_are_those_of_a_file(tmp_path, settings):
    spaces = [tiny_workspace(given(tmp_path / name, text)) for name, text in (("a", ""), ("b", settings))]
    asks = [
        Ask(scenario=name, user=f"u{user}", request_id=f"{name}-{user}")
        for name in ("home", "next", "popular")
        for user in (1, 4, 99)
    ]
    found = []
    for space in spaces:
        with Engine.open(space.root, clock=FixedClock(NOW)) as engine:
            first = answers(engine, asks)
            engine.intake.items([ItemPut(id="i99", time=NOW, attributes={"genre": ["Drama"]})])
            engine.intake.events([Event(id="x", user="u99", item="i4", time=NOW)])
            engine.intake.erase("u4")
            later = [Ask(scenario="home", user="u99"), Ask(scenario="next", user="u99")]
            replays = [engine.replay(f"home-{user}").items for user in (1, 99)]
            found.append((first, [len(each) for each in answers(engine, later)], replays))
    assert found[0] == found[1]
    with spaces[0].reader() as plain, spaces[1].reader() as remote:
        worlds = World.open(plain), World.open(remote)
        assert plain.read() == remote.read()
        for position in (*range(0, worlds[0].position, 17), worlds[0].position):
            one, other = (sight.as_of(position) for sight in worlds)
            for column in ("active", "kinds", "put_at"):
                assert np.array_equal(getattr(one.catalogue, column), getattr(other.catalogue, column))
            codes = np.arange(one.catalogue.size)
            assert one.codes.ids_of(codes) == other.codes.ids_of(codes)
            for user in ("u1", "u4", "u99"):
                assert np.array_equal(one.seen(user), other.seen(user))
                histories = one.history(user, 9), other.history(user, 9)
                assert all(np.array_equal(histories[0][name], histories[1][name]) for name in histories[0])
        data = [sight.data() for sight in worlds]
        for name, column in data[0].histories.columns.items():
            assert np.array_equal(column, data[1].histories.columns[name])
        assert np.array_equal(data[0].users, data[1].users)


def test_a_log_that_was_never_written_is_told_as_for_a_file(tmp_path, settings):
    for text in ("", settings):
        with pytest.raises(NotFoundError, match=r"its log is empty; fill it with `polyscene ingest SOURCE"):
            Workspace.open(given(tmp_path, text)).reader()


def test_the_address_comes_from_the_environment_alone(tmp_path, settings, monkeypatch):
    space = Workspace.open(given(tmp_path, settings))
    monkeypatch.delenv("POLYSCENE_DSN")
    with pytest.raises(ConfigError, match=r"\[store\]: the environment variable POLYSCENE_DSN is not set"):
        space.log()
    monkeypatch.setenv("OTHER_DSN", "postgresql://me:s3cret@127.0.0.1:1/db")
    space = Workspace.open(given(tmp_path, '[store]\nkind = "postgres"\ndsn_env = "OTHER_DSN"'))
    for finding in examine(space.root):
        assert "s3cret" not in finding.found
    assert {finding.what: finding for finding in examine(space.root)}["log"].verdict == "fail"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('kind = "postgres"\ndsn = "postgresql://me:s3cret@h/d"', r"\[store\]: unknown key 'dsn'"),
        (
            'kind = "postgres"\ndsn_env = "postgresql://me:s3cret@h/d"',
            r"\[store\]: dsn_env: expected the name of an environment variable",
        ),
        ('kind = "postgres"\nschema = "pg_catalog"', r"schema.*matching regex"),
        ('kind = "postgres"\nschema = "a; drop"', r"schema.*matching regex"),
        ('kind = "mysql"', r"unknown kind 'mysql'; did you mean|unknown kind 'mysql'; known"),
        ('schema = "x"', r"unknown key 'schema'"),
    ],
)
def test_settings_that_are_wrong_are_named_and_secrets_are_not(tmp_path, text, problem):
    with pytest.raises(ConfigError, match=problem) as caught:
        Workspace.open(given(tmp_path, f"[store]\n{text}\n"))
    assert "s3cret" not in str(caught.value)
