"""Copies are of one moment, also while somebody writes, and are looked at before they count."""

import sqlite3
from contextlib import closing
from threading import Event as Signal
from threading import Thread

import pytest

from polyscene.core.errors import StoreError
from polyscene.events.copying import copy_log
from polyscene.events.event import Event, ItemPut
from polyscene.events.sqlite import SqliteLog


def test_a_copy_taken_while_a_writer_writes_is_a_head_of_the_log(tmp_path):
    going, enough = Signal(), Signal()
    with SqliteLog(tmp_path / "log.db") as log:

        def write():
            number = 0
            while not enough.is_set():
                log.append(
                    [Event(id=f"e{number}", user="u", item="i", time=number), ItemPut(id="i", time=number)]
                )
                number += 1
                if number == 50:
                    going.set()

        writer = Thread(target=write)
        writer.start()
        going.wait(30)
        copies = [copy_log(log.path, tmp_path / "copies" / f"{n}.db") for n in range(4)]
        enough.set()
        writer.join()
        records = log.read(limit=1_000_000)
    assert [copy.position for copy in copies] == sorted({copy.position for copy in copies})
    for copy in copies:
        assert copy.size == copy.path.stat().st_size
        with SqliteLog(copy.path) as again:
            assert again.recovery.checked == "seal"
            assert again.position == copy.position
            assert copy.position % 2 == 0
            assert again.read(limit=1_000_000) == records[: copy.position]
    assert {path.suffix for path in (tmp_path / "copies").iterdir()} <= {".db", ".seal", ".lock"}


def test_a_copy_never_replaces_a_file_and_needs_a_whole_log(tmp_path):
    with pytest.raises(StoreError, match=r"log\.db: there is no event log to copy"):
        copy_log(tmp_path / "log.db", tmp_path / "copy.db")
    with SqliteLog(tmp_path / "log.db") as log:
        log.append([Event(id="e", user="u", item="i", time=1)])
    with pytest.raises(StoreError, match=r"log\.db: there is a file already"):
        copy_log(tmp_path / "log.db", tmp_path / "log.db")
    with closing(sqlite3.connect(tmp_path / "log.db")) as connection:
        connection.execute("UPDATE events SET value = 9")
        connection.commit()
    with pytest.raises(StoreError, match=r"log\.db: copy: the event at position 1 is not the one"):
        copy_log(tmp_path / "log.db", tmp_path / "copy.db")
    assert not (tmp_path / "copy.db").exists()
    assert not [path.name for path in tmp_path.iterdir() if path.name.startswith(".tmp-")]
