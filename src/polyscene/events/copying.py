"""Copies of a log file, taken at one moment while others write, checked before they count."""

import os
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from uuid import uuid4

from polyscene.artifacts.files import TEMPORARY, sync_folder
from polyscene.core.errors import StoreError
from polyscene.events import whole
from polyscene.events.formats import FORMAT
from polyscene.events.seal import put_seal
from polyscene.events.store import connect, format_of, guard, last_position
from polyscene.events.wal import wal_path


@dataclass(frozen=True, slots=True)
class Copied:
    """A copy: where it is, its last position, and its size in bytes."""

    path: Path
    position: int
    size: int


def copy_log(path: Path, target: Path) -> Copied:
    """A whole and checked copy of the log `path` as of one moment; a writer may go on meanwhile.

    Raises:
        StoreError: There is something at `target`, the log is damaged, or the disk refused.
    """
    if not path.is_file():
        raise StoreError(f"{path}: there is no event log to copy; mend the path")
    with guard(path, "copy"), closing(connect(path, readonly=True)) as connection:
        return _copy(connection, path, target)


def copy_beside(connection: sqlite3.Connection, path: Path, found: int) -> Path:
    """A copy of a file that is about to change its format, under the first free name beside it."""
    names = (path.with_name(f"{path.name}.format{found}{f'-{n}' if n else ''}") for n in count())
    return _copy(connection, path, next(name for name in names if not name.exists())).path


def _copy(connection: sqlite3.Connection, path: Path, target: Path) -> Copied:
    if target.exists():
        raise StoreError(f"{target}: there is a file already; give another name")
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = target.with_name(f"{TEMPORARY}{uuid4().hex}")
    try:
        with closing(sqlite3.connect(beside, isolation_level=None)) as copy:
            # in one step: in several, each commit of a writer would make it begin again
            connection.backup(copy)
            faults = (whole.content if format_of(copy, path) == FORMAT else whole.structure)(copy)
            if faults:
                raise sqlite3.DatabaseError("; ".join(faults))
            position = last_position(copy)
        with beside.open("rb") as file:
            os.fsync(file.fileno())
        beside.rename(target)
    finally:
        for left in (beside, wal_path(beside), beside.with_name(f"{beside.name}-shm")):
            left.unlink(missing_ok=True)
    sync_folder(target.parent)
    put_seal(target)
    return Copied(target, position, target.stat().st_size)
