"""What is saved of a damaged file is as it was written, under its old positions and codes."""

import random
import sqlite3
from contextlib import closing

import pytest

from polyscene.core.errors import StoreError
from polyscene.events.event import EdgePut, Event, Exposure, ItemPut, Merge, UserPut
from polyscene.events.log import nobody
from polyscene.events.repair import repair
from polyscene.events.sqlite import SqliteLog
from polyscene.events.upkeep import check_log

PAGE = 4096


def exposure(number):
    return Exposure(
        request_id=f"r{number:03}",
        scenario="home",
        bundle="b",
        user=f"u{number % 7}",
        time=number,
        seed=0,
        log_position=1,
        items=["i1"],
        scores=[1.0],
        propensities=[1.0],
    )


@pytest.fixture
def path(tmp_path):
    """A log of every kind of record, over some forty pages."""
    path = tmp_path / "log.db"
    with SqliteLog(path) as log:
        log.append(
            [UserPut(id="gone", time=1), *(ItemPut(id=f"i{n}", kind="film", time=n) for n in range(40))]
        )
        log.append([Event(id=f"e{n}", user=f"u{n % 7}", item=f"i{n % 40}", time=n) for n in range(600)])
        log.append(
            [Merge(source="u1", target="u2", time=1), EdgePut(source="a", relation="r", target="b", time=1)]
        )
        for number in range(100):
            log.append_exposure(exposure(number))
        log.erase_user("gone", at=5)
    return path


def page_of(path, name):
    """The first leaf page of a table or index, found by its root."""
    with closing(sqlite3.connect(path)) as connection:
        (root,) = connection.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = ?", (name,)
        ).fetchone()
    raw = path.read_bytes()
    page = raw[(root - 1) * PAGE : root * PAGE]
    if page[0] in (2, 5):
        first = int.from_bytes(page[12:14], "big")
        return int.from_bytes(page[first : first + 4], "big")
    return root


def spoil(path, page):
    raw = bytearray(path.read_bytes())
    raw[(page - 1) * PAGE : page * PAGE] = random.Random(5).randbytes(PAGE)
    path.write_bytes(raw)


def saved(path):
    with SqliteLog(path) as log:
        return {
            "records": dict(log.read()),
            "names": [log.user_ids(), log.item_ids(), log.action_names(), log.kind_names()],
            "exposures": {each.request_id: each for each in log.exposures(n=1_000)},
            "related": [log.edges(), log.merges()],
            "days": log.item_days("i1"),
        }


def test_a_whole_file_is_saved_whole(path, tmp_path):
    before = saved(path)
    found = repair(path, tmp_path / "new.db")
    assert (found.events, found.puts, found.exposures) == (600, 43, 100)
    assert (found.lost_rows, found.lost_names, found.position) == (0, 0, 644)
    assert check_log(tmp_path / "new.db") == []
    assert saved(tmp_path / "new.db") == before


def test_a_damaged_page_of_events_costs_its_rows_only(path, tmp_path):
    before = saved(path)
    spoil(path, page_of(path, "events"))
    with pytest.raises(StoreError, match="save what can be read with `polyscene log repair`"):
        SqliteLog(path)
    found = repair(path, tmp_path / "new.db")
    after = saved(tmp_path / "new.db")
    assert 400 < found.events < 600
    assert found.events + found.lost_rows == 600
    assert after["records"].items() < before["records"].items()
    assert after["names"] == before["names"]
    assert after["exposures"] == before["exposures"]


@pytest.mark.parametrize(
    "name",
    [
        "events_by_user",
        "events_by_item",
        "names_by_name",
        "names",
        "puts_by_code",
        "shown",
        "exposures_by_user",
    ],
)
def test_what_stands_in_two_places_is_saved_from_the_other(path, tmp_path, name):
    before = saved(path)
    spoil(path, page_of(path, name))
    found = repair(path, tmp_path / "new.db")
    assert (found.events, found.puts, found.exposures, found.lost_names) == (600, 43, 100, 0)
    assert saved(tmp_path / "new.db") == before


@pytest.mark.parametrize(("name", "kind"), [("puts", "puts"), ("exposures", "exposures")])
def test_puts_and_exposures_on_a_damaged_page_are_counted(path, tmp_path, name, kind):
    whole = {"puts": 43, "exposures": 100}
    before = saved(path)
    spoil(path, page_of(path, name))
    found = repair(path, tmp_path / "new.db")
    assert getattr(found, kind) < whole[kind]
    assert found.lost_rows == whole[kind] - getattr(found, kind)
    after = saved(tmp_path / "new.db")
    assert after["records"].items() <= before["records"].items()
    assert after["exposures"].items() <= before["exposures"].items()


def test_an_id_that_is_gone_leaves_its_code_nameless_and_takes_its_events_along(path, tmp_path):
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE names SET name = NULL WHERE family = 0 AND name = 'u3'")
        connection.execute("UPDATE names SET name = NULL WHERE family = 1 AND name = 'i3'")
        connection.commit()
    found = repair(path, tmp_path / "new.db")
    assert found.lost_names == 1
    assert found.events == 600 - len(range(3, 600, 7))
    after = saved(tmp_path / "new.db")
    # code 0 was erased before; the item's id stands in its put
    assert after["names"][0] == [nobody(0), "u0", "u1", "u2", nobody(4), "u4", "u5", "u6"]
    assert after["names"][1] == [f"i{n}" for n in range(40)]


def test_a_truncated_file_is_saved_up_to_its_end(path, tmp_path):
    before = saved(path)
    raw = path.read_bytes()
    path.write_bytes(raw[: len(raw) * 2 // 3])
    found = repair(path, tmp_path / "new.db")
    assert found.events > 100
    after = saved(tmp_path / "new.db")
    assert after["records"].items() <= before["records"].items()


def test_repair_refuses_what_it_cannot_do(path, tmp_path):
    with pytest.raises(StoreError, match=r"log\.db: there is a file already"):
        repair(path, path)
    with SqliteLog(path), pytest.raises(StoreError, match="is another process writing to it"):
        repair(path, tmp_path / "new.db")
    path.write_bytes(b"\0" * 100 + path.read_bytes()[100:])
    with pytest.raises(StoreError, match=r"log\.db: repair: file is not a database.*put back a backup"):
        repair(path, tmp_path / "new.db")
    assert not (tmp_path / "new.db").exists()
