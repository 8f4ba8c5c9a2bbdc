"""What opening a log finds: a seal, a write-ahead log, damage, nothing where something was."""

import shutil
import sqlite3
from contextlib import closing

import pytest

from polyscene.core.errors import StoreError
from polyscene.events import opening
from polyscene.events.event import EdgePut, Event, Exposure, ItemPut, Merge
from polyscene.events.reading import SqliteReader
from polyscene.events.seal import seal_path
from polyscene.events.sqlite import SqliteLog
from polyscene.events.wal import FRAME_HEAD, HEAD, wal_path


def event(number):
    return Event(id=f"e{number}", user=f"u{number % 3}", item="i", time=number)


def crashed(path, count=20):
    """A copy of a log as a killed writer leaves it: one commit an event, all in the write-ahead log."""
    with SqliteLog(path.with_name("live.db")) as log:
        for number in range(count):
            log.append([event(number)])
        for suffix in ("", "-wal"):
            shutil.copy(path.with_name(f"live.db{suffix}"), path.with_name(path.name + suffix))
    return path


@pytest.fixture
def path(tmp_path):
    return tmp_path / "log.db"


def flip(path, *places):
    raw = bytearray(path.read_bytes())
    for place in places:
        raw[place] ^= 0x10
    path.write_bytes(raw)


def change(path, statement):
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(statement)
        connection.commit()


def test_a_closed_log_is_sealed_and_an_open_one_is_not(path):
    with SqliteLog(path) as log:
        log.append([event(1)])
        assert log.recovery.checked == "new"
        assert not seal_path(path).exists()
    assert seal_path(path).exists()
    with SqliteLog(path) as log:
        assert (log.recovery.checked, log.recovery.position) == ("seal", 1)
        assert not seal_path(path).exists()


def test_a_log_that_another_program_touched_is_checked_row_by_row(path):
    SqliteLog(path).close()
    change(path, "PRAGMA user_version = 2")
    change(path, "CREATE TABLE notes (a)")
    with SqliteReader(path) as reader:
        assert reader.position == 0
    with SqliteLog(path) as log:
        assert log.recovery.checked == "content"


@pytest.mark.parametrize(
    ("statement", "fault"),
    [
        ("UPDATE events SET value = 7 WHERE position = 3", "the event at position 3 is not the one"),
        ("UPDATE events SET scenario = 9 WHERE position = 3", "the event at position 3 is not the one"),
        ("UPDATE puts SET payload = x'80' WHERE position = 1", "the put at position 1 is not the one"),
        ("UPDATE exposures SET payload = x'00'", "the exposure of request 'r' is not the one"),
        ("UPDATE exposures SET time = 8", "the exposure of request 'r' is not the one"),
        ("UPDATE shown SET count = 8", "the counts of shown items are not those of the slates"),
        ("UPDATE edges SET gone = 1", "edges or merges are not those of their puts"),
        ("DELETE FROM merges", "edges or merges are not those of their puts"),
        ("UPDATE events SET id = cast(x'ff' AS TEXT) WHERE position = 3", "Could not decode to UTF-8"),
    ],
)
def test_a_row_that_is_not_as_it_was_written_is_refused_by_name(path, statement, fault):
    with SqliteLog(path) as log:
        log.append([ItemPut(id="i", time=1), event(1), event(2)])
        log.append(
            [EdgePut(source="a", relation="r", target="b", time=1), Merge(source="u1", target="u2", time=1)]
        )
        fields = {"items": ["i"], "scores": [1.0], "propensities": [1.0]}
        log.append_exposure(
            Exposure(request_id="r", scenario="s", bundle="b", time=1, seed=0, log_position=0, **fields)
        )
    change(path, statement)
    for kind in (SqliteLog, SqliteReader):
        with pytest.raises(StoreError, match=rf"log\.db: open: {fault}.*the file is damaged"):
            kind(path)


def test_a_large_file_after_a_crash_is_checked_by_its_pages(path, monkeypatch):
    crashed(path)
    monkeypatch.setattr(opening, "THOROUGH_BYTES", 0)
    with SqliteLog(path) as log:
        assert (log.recovery.checked, log.recovery.position) == ("structure", 20)


def test_after_a_crash_committed_work_is_back_and_the_report_says_so(path):
    crashed(path)
    with SqliteLog(path) as log:
        found = log.recovery
        assert (found.unclean, found.checked, found.position, found.cut) == (True, "content", 20, 0)
        assert found.restored > 20
        assert [record for _, record in log.read()] == [event(number) for number in range(20)]


@pytest.mark.parametrize("harm", ["flip", "truncate", "garbage behind"])
def test_a_damaged_tail_is_cut_at_the_last_good_record(path, harm):
    crashed(path)
    wal = wal_path(path)
    size = wal.stat().st_size
    frame = FRAME_HEAD + 4096
    middle = HEAD + (size - HEAD) // frame // 2 * frame + 1_000
    if harm == "flip":
        flip(wal, middle)
    elif harm == "truncate":
        with wal.open("r+b") as file:
            file.truncate(middle)
    else:
        with wal.open("ab") as file:
            file.write(wal.read_bytes()[HEAD : HEAD + frame])
    with SqliteLog(path) as log:
        kept = [record for _, record in log.read()]
        assert kept == [event(number) for number in range(len(kept))]
        assert (len(kept) == 20) == (harm == "garbage behind")
        assert len(kept) > 3
        assert log.recovery.cut > 0
        assert log.append([event(99)]).position == len(kept) + 1


def test_a_lost_file_is_not_taken_for_a_new_log(path):
    crashed(path)
    for change_ in (path.unlink, path.touch):
        change_()
        with pytest.raises(
            StoreError, match=r"log\.db: the file is missing or empty, but its write-ahead log is"
        ):
            SqliteLog(path)
    other = path.with_name("live.db")
    other.write_bytes(b"")
    with pytest.raises(StoreError, match=r"live\.db: the file is missing or empty, but its seal is there"):
        SqliteLog(other)
    seal_path(other).unlink()
    with SqliteLog(other) as log:
        assert log.position == 0


def test_a_log_that_is_still_read_when_it_closes_is_sealed_when_it_can_be(path):
    with SqliteLog(path) as log:
        log.append([event(1)])
        reader = SqliteReader(path)
        assert reader.position == 1
    assert seal_path(path).exists()
    reader.close()
    with SqliteLog(path) as log:
        assert (log.recovery.unclean, log.recovery.checked) == (False, "seal")
