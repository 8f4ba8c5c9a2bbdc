"""What an operator may do with a log file that nobody writes to: check it, take it to another format."""

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from polyscene.core.errors import StoreError
from polyscene.events import whole
from polyscene.events.copying import copy_beside
from polyscene.events.formats import FORMAT, check_way_back, downgrade
from polyscene.events.opening import open_for_writing
from polyscene.events.seal import break_seal, put_seal
from polyscene.events.store import connect, format_of, guard, lock, transaction


@dataclass(frozen=True, slots=True)
class Migrated:
    """The formats before and after, and the copy of the file as it was; None if nothing was to be done."""

    before: int
    after: int
    copy: Path | None


def check_log(path: Path) -> list[str]:
    """The first faults of a log, every row looked at; none for a whole one. Others may write meanwhile.

    Raises:
        StoreError: There is no log, it is foreign, or of another format.
    """
    _expect(path)
    with guard(path, "check"), closing(connect(path, readonly=True)) as connection:
        found = format_of(connection, path)
        if found != FORMAT:
            raise StoreError(f"{path}: format {found}; take it to {FORMAT} first: `polyscene log migrate`")
        connection.execute("BEGIN")
        return whole.content(connection)


def migrate(path: Path, to: int = FORMAT) -> Migrated:
    """Takes a log to a format, forward or back; a copy of the file as it was stays beside it.

    Raises:
        StoreError: Unknown format, somebody writes to the log, it is damaged, or it has records that the
            older format can't hold. The log is as it was then.
    """
    _expect(path)
    if not 1 <= to <= FORMAT:
        raise StoreError(f"{path}: there is no format {to}; known are 1 to {FORMAT}")
    with guard(path, "migrate"), closing(lock(path)):
        with closing(connect(path, readonly=True)) as reader:
            before = format_of(reader, path)
        if before > to:
            return Migrated(before, to, _back(path, before, to))
        if before < to < FORMAT:
            raise StoreError(f"{path}: from format {before} the way leads to {FORMAT} only")
        if before == to:
            return Migrated(before, to, None)
        connection, recovery = open_for_writing(path)
        _close(connection, path)
        return Migrated(before, to, recovery.copy)


def _back(path: Path, before: int, to: int) -> Path:
    connection, _ = open_for_writing(path)
    try:
        check_way_back(connection, path, to)
        copy = copy_beside(connection, path, before)
        with transaction(connection):
            downgrade(connection, to)
        return copy
    finally:
        _close(connection, path)


def _close(connection: sqlite3.Connection, path: Path) -> None:
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    break_seal(path)
    put_seal(path)


def _expect(path: Path) -> None:
    if not path.is_file():
        raise StoreError(f"{path}: there is no event log; mend the path")
