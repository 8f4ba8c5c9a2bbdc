"""A file of the first format, made by the code of its day, goes to the present one and back."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from polyscene.core.clock import DAY_MS
from polyscene.core.errors import StoreError
from polyscene.events.event import EdgePut, Event, Merge
from polyscene.events.log import Once, nobody
from polyscene.events.reading import SqliteReader
from polyscene.events.sqlite import SqliteLog
from polyscene.events.upkeep import check_log, migrate

FIRST = Path(__file__).with_name("format_1.sql").read_text(encoding="utf-8")
DAY = 20_000 * DAY_MS


@pytest.fixture
def path(tmp_path):
    with closing(sqlite3.connect(tmp_path / "log.db")) as connection:
        connection.executescript(FIRST)
    return tmp_path / "log.db"


def dump(path):
    with closing(sqlite3.connect(path)) as connection:
        facts = [
            connection.execute(f"PRAGMA {name}").fetchone() for name in ("user_version", "application_id")
        ]
        return [*connection.iterdump(), *facts]


def test_opening_for_writing_upgrades_and_keeps_a_copy(path):
    before = dump(path)
    with SqliteLog(path) as log:
        assert log.recovery.copy == path.with_name("log.db.format1")
        assert (log.recovery.unclean, log.recovery.position) == (False, 6)
        assert [record.id for _, record in log.read() if isinstance(record, Event)] == ["e1", "e3"]
        assert log.user_ids() == ["u1", nobody(1), "ü 3"]
        assert log.item_days("i1") == [
            (DAY, "exposure", 2),
            (DAY, "view", 1),
            (DAY + DAY_MS, "buy", 1),
        ]
        assert (
            log.append([Event(id="e3", user="ü 3", item="i1", time=DAY + DAY_MS, action="buy")]).conflicts
            == ()
        )
        assert log.append([EdgePut(source="a", relation="r", target="b", time=1)]).position == 7
    assert dump(path.with_name("log.db.format1")) == before
    assert check_log(path) == []
    with SqliteLog(path) as log:
        assert (log.recovery.copy, log.recovery.checked) == (None, "seal")


def test_an_upgraded_file_and_a_new_one_have_the_same_tables(path, tmp_path):
    migrate(path)
    SqliteLog(tmp_path / "new.db").close()
    schemas = []
    for file in (path, tmp_path / "new.db"):
        with closing(sqlite3.connect(file)) as connection:
            schemas.append(sorted(connection.execute("SELECT name, sql FROM sqlite_master").fetchall()))
    assert schemas[0] == schemas[1]


def test_a_reader_says_how_an_older_file_is_upgraded(path):
    with pytest.raises(
        StoreError, match=r"log\.db: format 1 is older than 2; upgrade it with `polyscene log"
    ):
        SqliteReader(path)


def test_the_way_back_gives_the_file_of_old(path):
    before = dump(path)
    done = migrate(path)
    assert (done.before, done.after, done.copy) == (1, 2, path.with_name("log.db.format1"))
    assert migrate(path) == type(done)(2, 2, None)
    with SqliteLog(path) as log:
        log.append([], once=Once("key", b"d" * 16))
    back = migrate(path, to=1)
    assert (back.before, back.after, back.copy) == (2, 1, path.with_name("log.db.format2"))
    assert dump(path) == before
    assert migrate(path).copy == path.with_name("log.db.format1-1")
    assert check_log(path) == []


def test_there_is_no_way_back_with_records_that_the_older_format_cannot_hold(path):
    with SqliteLog(path) as log:
        log.append([Merge(source="g", target="u1", time=1)])
        log.append([EdgePut(source="a", relation="r", target=target, time=1) for target in "bc"])
    with pytest.raises(StoreError, match=r"log\.db: format 1 can't hold 2 edge puts and 1 merges"):
        migrate(path, to=1)
    assert not path.with_name("log.db.format2").exists()
    with SqliteLog(path) as log:
        assert len(log.edges()) == 2


@pytest.mark.parametrize("to", [0, 3])
def test_unknown_formats_and_missing_logs_are_named(path, to):
    with pytest.raises(StoreError, match=rf"log\.db: there is no format {to}; known are 1 to 2"):
        migrate(path, to=to)
    with pytest.raises(StoreError, match=r"gone\.db: there is no event log"):
        migrate(path.with_name("gone.db"))


def test_a_log_that_is_written_to_is_not_migrated(tmp_path):
    with (
        SqliteLog(tmp_path / "log.db"),
        pytest.raises(StoreError, match="is another process writing to it"),
    ):
        migrate(tmp_path / "log.db", to=1)


def test_a_failing_upgrade_leaves_the_old_file(path):
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE shown (a)")
    before = dump(path)
    with pytest.raises(StoreError, match="table shown already exists"):
        SqliteLog(path)
    assert dump(path) == before
