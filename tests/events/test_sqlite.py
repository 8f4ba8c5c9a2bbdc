"""What only the file can do: survive, refuse, be shared."""

import random
import sqlite3
from contextlib import closing

import pytest

from polyscene.core.errors import BusyError, FullError, InputError, StoreError
from polyscene.events import pending
from polyscene.events import sqlite as module
from polyscene.events.event import Event, Exposure
from polyscene.events.reading import SqliteReader
from polyscene.events.sqlite import SqliteLog


def event(number, **fields):
    return Event(id=f"e{number}", user=f"u{number % 3}", item="i", time=number, **fields)


def exposure(request_id, user="u"):
    return Exposure(
        request_id=request_id, scenario="s", bundle="b", user=user, time=1, seed=0, log_position=0
    )


@pytest.fixture
def path(tmp_path):
    return tmp_path / "deep" / "log.db"


def test_all_is_there_after_closing_and_opening(path):
    with SqliteLog(path) as log:
        log.append([event(n) for n in range(5)])
        log.append_exposure(exposure("r"))
    with SqliteLog(path) as log:
        assert (log.recovery.unclean, log.recovery.position) == (False, 5)
        assert log.append([event(4), event(5)]).position == 6
        assert log.exposure("r") == exposure("r")


def test_a_closed_log_says_so(path):
    log = SqliteLog(path)
    log.close()
    log.close()
    with pytest.raises(StoreError, match="the log is closed; open it again"):
        log.append([event(1)])
    with pytest.raises(StoreError, match="the log is closed"):
        log.read()


def test_a_second_writer_is_refused_and_readers_are_not(path):
    with SqliteLog(path) as log:
        log.append([event(1)])
        with pytest.raises(StoreError, match="is another process writing to it"):
            SqliteLog(path)
        with SqliteReader(path) as reader:
            assert reader.position == 1
            log.append([event(2)])
            assert [record.id for _, record in reader.read()] == ["e1", "e2"]
            assert reader.user_ids() == ["u1", "u2"]
    with SqliteLog(path) as log:
        assert log.position == 2


def test_a_reader_needs_a_file_and_does_not_make_one(path):
    with pytest.raises(StoreError, match="there is no event log"):
        SqliteReader(path)
    assert not path.exists()


def change(path, statement):
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(statement)
        connection.commit()


@pytest.mark.parametrize("kind", [SqliteLog, SqliteReader])
def test_newer_and_foreign_files_are_refused_by_name(path, kind):
    SqliteLog(path).close()
    change(path, "PRAGMA user_version = 99")
    with pytest.raises(StoreError, match=r"log\.db: format 99 is newer than 2.*upgrade polyscene"):
        kind(path)
    foreign = path.with_name("other.db")
    change(foreign, "CREATE TABLE t (a)")
    with pytest.raises(StoreError, match=r"other\.db: expected an event log, found another SQLite file"):
        kind(foreign)
    path.with_name("text.db").write_text("no database at all " * 100)
    with pytest.raises(StoreError, match=r"text\.db: open: file is not a database; the file is damaged"):
        kind(path.with_name("text.db"))


def test_a_refused_file_is_not_left_locked(path):
    SqliteLog(path).close()
    change(path, "PRAGMA user_version = 99")
    with pytest.raises(StoreError, match="format 99"):
        SqliteLog(path)
    change(path, "PRAGMA user_version = 2")
    SqliteLog(path).close()


@pytest.mark.fault
def test_a_damaged_page_is_found_at_opening_and_the_file_is_named(path):
    with SqliteLog(path) as log:
        log.append([event(n, attributes={"text": "x" * 200}) for n in range(300)])
    whole = path.read_bytes()
    chance = random.Random(3)
    for _ in range(12):
        page = chance.randrange(1, len(whole) // 4096)
        damaged = bytearray(whole)
        # the head of a b-tree page: kind, free list, cells; what SQLite can tell from noise
        damaged[page * 4096 : page * 4096 + 64] = chance.randbytes(64)
        path.write_bytes(damaged)
        with pytest.raises(StoreError, match=r"log\.db: open: .*the file is damaged: put back a backup"):
            SqliteLog(path)
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(StoreError, match=r"log\.db: open: .*damaged"):
        SqliteLog(path)


@pytest.mark.fault
def test_a_full_disk_acknowledges_nothing_and_the_log_goes_on_afterwards(path):
    with SqliteLog(path) as log:
        log.append([event(1)])
        (pages,) = log._connection.execute("PRAGMA page_count").fetchone()
        log._connection.execute(f"PRAGMA max_page_count = {pages}")
        big = [event(n, attributes={"text": "x" * 2_000}) for n in range(2, 60)]
        with pytest.raises(
            FullError, match=r"log\.db: nothing was kept: database or disk is full; make space"
        ):
            log.append(big)
        assert log.position == 1
        assert log.user_ids() == ["u1"]
        log._connection.execute("PRAGMA max_page_count = 100000")
        assert log.append(big).accepted == 58
        assert log.position == 59
        assert log.user_ids() == ["u1", "u2", "u0"]


@pytest.mark.fault
def test_a_read_only_disk_keeps_exposures_waiting_until_it_can_write(path, monkeypatch):
    monkeypatch.setattr(pending, "MOST_PENDING", 3)
    with SqliteLog(path) as log:
        log._connection.execute("PRAGMA query_only = ON")
        for name in "abc":
            log.append_exposure(exposure(name))
        with pytest.raises(StoreError, match="attempt to write a readonly database"):
            log.flush()
        with pytest.raises(BusyError, match="3 exposures wait for the disk"):
            log.append_exposure(exposure("d"))
        assert log.exposure("b") == exposure("b")
        assert log.exposures() == []
        log._connection.execute("PRAGMA query_only = OFF")
        log.flush()
        assert [each.request_id for each in log.exposures()] == ["a", "b", "c"]


def test_one_bad_batch_does_not_spoil_its_neighbours(path):
    with SqliteLog(path) as log:
        with pytest.raises(InputError):
            log.append([event(1, value=float("nan"))])
        assert log.append([event(2)]).position == 1


def test_an_erased_user_is_in_none_of_the_files(path):
    secret = "Xq7-very-rare-name"
    with SqliteLog(path) as log:
        log.append([Event(id=f"{secret}{n}", user=secret, item="i", time=n) for n in range(50)])
        log.append([event(n) for n in range(50)])
        log.append_exposure(exposure("r", secret))
        log.erase_user(secret, at=1)
        files = [file for file in path.parent.iterdir() if file.suffix != ".lock"]
        assert len(files) >= 2
        assert not [file.name for file in files if secret.encode() in file.read_bytes()]


def test_a_bulk_in_several_transactions_is_one_bulk(path, monkeypatch):
    monkeypatch.setattr(module, "BULK_ROWS", 2)
    bulk = module.Bulk(
        "s", range(5), list("uvuvu"), list("abcab"), ["a"] * 5, [""] * 5, range(5), [1.0] * 5
    )
    with SqliteLog(path) as log:
        assert log.append_columns(bulk).position == 5
        assert log.append_columns(bulk).duplicates == 5
        assert [record.id for _, record in log.read()] == [f"s:{n}" for n in range(5)]
