"""The SQLite file under the log: its tables, how it is opened, checked and guarded."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from polyscene.core.errors import StoreError
from polyscene.events.formats import FORMAT, upgrade

APPLICATION = 0x506F6C79
"""``Poly``: tells our files from other SQLite files."""


@dataclass(frozen=True, slots=True)
class Recovery:
    """What opening the file found.

    `unclean`: the last writer did not close it and SQLite restored its committed work from the
    write-ahead log. `position`: of the last record. `seconds`: what the check took.
    """

    unclean: bool
    position: int
    seconds: float


@contextmanager
def guard(path: Path, doing: str) -> Iterator[None]:
    """Turns errors of the database or the file system into a StoreError that names the file."""
    try:
        yield
    except (sqlite3.Error, OSError) as problem:
        hint = (
            "the file is damaged: put back a copy, or save what can be read with 'sqlite3 FILE .recover'"
            if type(problem) is sqlite3.DatabaseError
            else "check free space, permissions and who else holds it"
        )
        raise StoreError(f"{path}: {doing}: {problem}; {hint}") from problem


def connect(path: Path, *, readonly: bool) -> sqlite3.Connection:
    """A connection in autocommit mode; `readonly` ones can't change the file."""
    mode = "ro" if readonly else "rwc"
    connection = sqlite3.connect(
        f"{path.resolve().as_uri()}?mode={mode}",
        uri=True,
        timeout=10.0,
        isolation_level=None,
        check_same_thread=False,
    )
    connection.execute("PRAGMA cache_size = -32768")
    return connection


def lock(path: Path) -> sqlite3.Connection:
    """Holds ``<path>.lock`` until closed or until the process ends, however it ends.

    Raises:
        StoreError: Another process, or another log object of this one, writes to this file.
    """
    holder = sqlite3.connect(f"{path}.lock", timeout=0.0, isolation_level=None, check_same_thread=False)
    try:
        holder.execute("BEGIN EXCLUSIVE")
    except sqlite3.OperationalError as problem:
        holder.close()
        raise StoreError(
            f"{path}: can't be opened for writing ({problem}): is another process writing to it? "
            "Stop that one, send your events to it, or read the log with SqliteReader"
        ) from problem
    return holder


def prepare(connection: sqlite3.Connection, path: Path) -> None:
    """Makes the tables of a new file; a file of an older run must be ours, and of a format we know.

    Raises:
        StoreError: A foreign file or a newer format.
    """
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if application == 0 and version == 0 and tables == 0:
        connection.execute("PRAGMA journal_mode = WAL")
        with _transaction(connection):
            upgrade(connection, 0)
            connection.execute(f"PRAGMA application_id = {APPLICATION}")
    else:
        check_format(connection, path)


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def check_format(connection: sqlite3.Connection, path: Path) -> None:
    """Nothing, if the file is a log of a format we know. Raises StoreError otherwise."""
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if application != APPLICATION:
        raise StoreError(f"{path}: expected an event log, found another SQLite file; give another path")
    if version > FORMAT:
        raise StoreError(
            f"{path}: format {version} is newer than {FORMAT}, the newest known here; upgrade polyscene"
        )


def set_durable(connection: sqlite3.Connection) -> None:
    """A commit returns when it is on disk; deleted rows are overwritten."""
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA secure_delete = ON")


def recover(connection: sqlite3.Connection, path: Path, *, unclean: bool) -> Recovery:
    """Checks the whole file.

    Raises:
        StoreError: It is damaged.
    """
    began = time.perf_counter()
    faults = [" ".join(fault.split()) for (fault,) in connection.execute("PRAGMA quick_check(3)")]
    if faults != ["ok"]:
        raise sqlite3.DatabaseError("; ".join(faults))
    return Recovery(unclean, last_position(connection), time.perf_counter() - began)


def last_position(connection: sqlite3.Connection) -> int:
    """Position of the last record in the file; an erasure stands behind all that it took away."""
    (position,) = connection.execute(
        "SELECT max(coalesce((SELECT max(position) FROM events), 0), "
        "coalesce((SELECT max(position) FROM puts), 0))"
    ).fetchone()
    return int(position)
