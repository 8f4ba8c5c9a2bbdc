"""A log as Parquet files says the same as the log, and an ingest of them makes a log that says it too."""

import polars as pl
import pytest

from polyscene.core.clock import DAY_MS
from polyscene.core.contracts import silent
from polyscene.core.errors import StoreError
from polyscene.events.event import EdgePut, Event, Exposure, ItemPut, Merge, UserPut
from polyscene.events.memory import MemoryLog
from polyscene.jobs import parquet
from polyscene.jobs.ingest import ingest
from polyscene.jobs.parquet import export_log
from polyscene.jobs.workspace import Workspace

DAY = 20_000 * DAY_MS


def read(folder, table):
    return pl.read_parquet(folder / f"{table}-*.parquet").to_dicts()


@pytest.fixture
def log():
    log = MemoryLog()
    log.append(
        [
            ItemPut(
                id="i1", kind="film", time=DAY, attributes={"year": 1999, "tags": ["a", "b"], "price": 2}
            ),
            ItemPut(
                id="i2", time=DAY, attributes={"year": 2001, "price": 2.5, "odd": True, "time": "noon"}
            ),
            ItemPut(id="i3", time=DAY, attributes={"year": 1}),
            ItemPut(
                id="i1", time=DAY + 1, patch=True, attributes={"price": None, "odd": "x", "new": False}
            ),
            ItemPut(id="i3", time=DAY + 1, delete=True),
            UserPut(id="u1", time=DAY, attributes={"age": 30}),
            *(
                Event(
                    id=f"e{n}", user=f"u{n % 3}", item=f"i{n % 4}", time=DAY + n, action="view", value=n / 2
                )
                for n in range(10)
            ),
            Event(
                id="full",
                user="=1+1",
                item="ü",
                time=DAY,
                scenario="home",
                request_id="r",
                position=2,
                attributes={"a": "b"},
            ),
            EdgePut(source="a", relation="r", target="b", time=1, weight=0.5),
            EdgePut(source="a", relation="r", target="c", time=1),
            EdgePut(source="a", relation="r", target="c", time=2, delete=True),
            Merge(source="g", target="u1", time=DAY),
        ]
    )
    for name in ("r1", "r2"):
        log.append_exposure(
            Exposure(
                request_id=name,
                scenario="home",
                bundle="b",
                time=DAY,
                seed=1,
                log_position=4,
                items=["i1", "i2"],
                scores=[0.5, 0.25],
                propensities=[1.0, 0.5],
            )
        )
    return log


@pytest.mark.parametrize("rows", [3, 1_000])
def test_every_table_says_what_the_log_says(log, tmp_path, monkeypatch, rows):
    monkeypatch.setattr(parquet, "ROWS", rows)
    monkeypatch.setattr(parquet, "BATCH", 20)
    done = export_log(log, tmp_path / "out")
    assert done.position == log.position
    assert done.rows == {
        "events": 11,
        "items": 2,
        "users": 1,
        "puts": 6,
        "edges": 1,
        "merges": 1,
        "exposures": 4,
    }
    assert len(list((tmp_path / "out").glob("events-*"))) == (4 if rows == 3 else 1)
    events = read(tmp_path / "out", "events")
    assert [(row["log_position"], row["id"], row["value"]) for row in events[:2]] == [
        (7, "e0", 0.0),
        (8, "e1", 0.5),
    ]
    assert events[-1] == {
        "log_position": 17,
        "id": "full",
        "user": "=1+1",
        "item": "ü",
        "action": "interaction",
        "value": 1.0,
        "time": DAY,
        "scenario": "home",
        "request_id": "r",
        "place": 2,
        "attributes": '{"a":"b"}',
    }
    common = {"time": DAY, "attribute_time": None}
    assert read(tmp_path / "out", "items") == [
        {
            "item": "i1",
            "kind": "film",
            "new": False,
            "odd": '"x"',
            "price": None,
            "tags": ["a", "b"],
            "year": 1999,
        }
        | common,
        {"item": "i2", "kind": "item", "new": None, "odd": "true", "price": 2.5, "tags": None, "year": 2001}
        | common
        | {"attribute_time": "noon"},
    ]
    assert read(tmp_path / "out", "users") == [{"user": "u1", "age": 30}]
    assert read(tmp_path / "out", "edges") == [
        {"source": "a", "relation": "r", "target": "b", "weight": 0.5, "time": 1}
    ]
    assert [
        (row["type"], row["id"], row["delete"], row["patch"]) for row in read(tmp_path / "out", "puts")
    ][2:] == [
        ("item", "i3", False, False),
        ("item", "i1", False, True),
        ("item", "i3", True, False),
        ("user", "u1", False, False),
    ]
    assert [
        (row["request_id"], row["place"], row["item"], row["score"], row["propensity"], row["user"])
        for row in read(tmp_path / "out", "exposures")
    ] == [
        ("r1", 0, "i1", 0.5, 1.0, None),
        ("r1", 1, "i2", 0.25, 0.5, None),
        ("r2", 0, "i1", 0.5, 1.0, None),
        ("r2", 1, "i2", 0.25, 0.5, None),
    ]


def test_an_export_goes_into_a_new_folder_only(log, tmp_path):
    with pytest.raises(StoreError, match="there is something already; give the name of a new folder"):
        export_log(log, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_an_ingest_of_an_export_makes_a_log_that_says_the_same(log, tmp_path):
    export_log(log, tmp_path / "out")
    space = Workspace.create(tmp_path / "again")
    ingest(space, str(tmp_path / "out"), {}, silent)
    with space.reader() as again:
        records = [record for _, record in again.read()]
    facts = ("user", "item", "action", "value", "time", "scenario")

    def said(records):
        events = [record for record in records if isinstance(record, Event)]
        return sorted(tuple(getattr(event, name) for name in facts) for event in events)

    assert said(records) == said([record for _, record in log.read()])
    items = {record.id: record for record in records if isinstance(record, ItemPut)}
    assert items["i1"].kind == "film"
    assert items["i1"].attributes["tags"] == ["a", "b"]
    assert (items["i1"].attributes["year"], items["i2"].attributes["price"]) == (1999, 2.5)
    assert [record.attributes for record in records if isinstance(record, UserPut)] == [{"age": 30}]
