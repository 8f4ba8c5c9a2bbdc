"""Files that are either whole or not there, and names that stay inside their folder."""

import errno
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from polyscene.core.errors import FullError, InputError, StoreError

TEMPORARY = ".tmp-"
"""Head of the names of folders and files that are still being written."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def inside(root: Path, *names: str) -> Path:
    """The path of `names` under `root`; the only way from an outside name to a path.

    Raises:
        InputError: A name has other characters than letters, digits, ``. _ -``, or starts with a sign, or
            what it names is a link, which could lead anywhere.
    """
    for name in names:
        if not _NAME.fullmatch(name):
            raise InputError(
                f"name {name!r}: expected 1 to 100 letters (a-z), digits, '.', '_' or '-', "
                "starting with a letter or digit"
            )
    path = root
    for name in names:
        path /= name
        if path.is_symlink():
            raise InputError(
                f"{path}: is a link; links below {root} are not followed: put the folder itself there"
            )
    return path


def is_folder(path: Path) -> bool:
    """Whether a folder stands there, and not a link to one."""
    return path.is_dir() and not path.is_symlink()


@contextmanager
def refused(path: Path, doing: str) -> Iterator[None]:
    """Turns errors of the file system into a StoreError that names the path: FullError for a full disk."""
    try:
        yield
    except OSError as problem:
        kind = FullError if problem.errno in (errno.ENOSPC, errno.EDQUOT) else StoreError
        raise kind(f"{path}: {doing}: {problem}; check free space and permissions") from problem


@contextmanager
def new_folder(parent: Path) -> Iterator[Path]:
    """A temporary folder beside where its content will stand; removed at the end unless it was renamed.

    A killed process leaves it behind: nobody reads a name that starts with `TEMPORARY`.
    """
    folder = parent / f"{TEMPORARY}{uuid4().hex}"
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        if folder.exists():
            shutil.rmtree(folder)


def write_synced(path: Path, content: bytes, mode: int = 0o666) -> None:
    """Writes a new file with these rights (less the umask); returns when it is on disk."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def replace_synced(path: Path, content: bytes, mode: int = 0o666) -> None:
    """Writes a file in one step: readers see the old content or the new, also after a crash."""
    beside = path.with_name(f"{TEMPORARY}{uuid4().hex}")
    try:
        write_synced(beside, content, mode)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
    sync_folder(path.parent)


def append_synced(path: Path, line: bytes) -> None:
    """Adds a line at the end of a file; returns when it is on disk."""
    with path.open("ab") as file:
        file.write(line + b"\n")
        file.flush()
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Returns when the names in a folder are on disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
