"""The SQLite file under the log: how it is connected to, locked and guarded."""

import errno
import sqlite3
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from polyscene.core.errors import FullError, StoreError
from polyscene.events.formats import FORMAT

APPLICATION = 0x506F6C79
"""``Poly``: tells our files from other SQLite files."""

_DAMAGE = (UnicodeDecodeError, msgspec.MsgspecError, zlib.error)
"""What reading a damaged text or payload raises; even the messages of the database may hold such text."""


@contextmanager
def guard(path: Path, doing: str) -> Iterator[None]:
    """Turns errors of the database or the file system into a StoreError that names the file."""
    try:
        yield
    except (sqlite3.Error, OSError, *_DAMAGE) as problem:
        raise store_error(f"{path}: {doing}: ", problem) from problem


def store_error(head: str, problem: Exception) -> StoreError:
    """What to raise for an error of the database or the file system, with what to do about it."""
    name = getattr(problem, "sqlite_errorname", "")
    if name == "SQLITE_FULL" or getattr(problem, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
        return FullError(f"{head}{problem}; make space: it goes on by itself then")
    if type(problem) is sqlite3.DatabaseError or isinstance(problem, _DAMAGE):
        return StoreError(
            f"{head}{problem}; the file is damaged: put back a backup (`polyscene restore`), "
            "or save what can be read with `polyscene log repair`"
        )
    said = f"{problem} ({name})" if name else str(problem)
    return StoreError(f"{head}{said}; check free space, permissions and who else holds it")


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
        if problem.sqlite_errorname == "SQLITE_FULL":
            raise store_error(f"{path}: open: ", problem) from problem
        raise StoreError(
            f"{path}: can't be opened for writing ({problem}): is another process writing to it? "
            "Stop that one, send your events to it, or read the log with SqliteReader"
        ) from problem
    return holder


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All that is done inside is kept, or, after an exception, nothing."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def format_of(connection: sqlite3.Connection, path: Path) -> int:
    """The format of a log file; 0 for an empty file.

    Raises:
        StoreError: A foreign file, or a newer format.
    """
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if application == 0 and version == 0 and tables == 0:
        return 0
    if application != APPLICATION:
        raise StoreError(f"{path}: expected an event log, found another SQLite file; give another path")
    if version > FORMAT:
        raise StoreError(
            f"{path}: format {version} is newer than {FORMAT}, the newest known here; upgrade polyscene"
        )
    return int(version)


def set_durable(connection: sqlite3.Connection) -> None:
    """A commit returns when it is on disk; deleted rows are overwritten."""
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA secure_delete = ON")


def last_position(connection: sqlite3.Connection) -> int:
    """Position of the last record in the file; an erasure stands behind all that it took away."""
    (position,) = connection.execute(
        "SELECT max(coalesce((SELECT max(position) FROM events), 0), "
        "coalesce((SELECT max(position) FROM puts), 0))"
    ).fetchone()
    return int(position)
