"""Opening a log file for writing: what is there, whether it is whole, and the present format."""

import sqlite3
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import structlog

from polyscene.core.errors import StoreError
from polyscene.events import whole
from polyscene.events.copying import copy_beside
from polyscene.events.formats import FORMAT, upgrade
from polyscene.events.seal import break_seal, matches_seal, seal_path
from polyscene.events.store import APPLICATION, connect, format_of, last_position, set_durable, transaction
from polyscene.events.wal import look_at_wal

THOROUGH_BYTES = 32 << 20
"""Up to here an unsealed file is checked row by row, in about two seconds; above, only its pages are."""
Checked = Literal["new", "seal", "content", "structure"]


@dataclass(frozen=True, slots=True)
class Recovery:
    """What opening the file found.

    `unclean`: the last writer did not close it; committed work stood in the write-ahead log and is back
    (`restored` pages). `cut`: pages behind the last whole commit, left out: a commit that never ended, or
    damage. `checked`: "seal", every byte is as at the last close; "content", every row is as it was
    written; "structure", the pages hang together. `copy`: of the file in the format it had, if it was
    upgraded. `position`: of the last record. `seconds`: what all this took.
    """

    unclean: bool
    restored: int
    cut: int
    checked: Checked
    copy: Path | None
    position: int
    seconds: float


def open_for_writing(path: Path) -> tuple[sqlite3.Connection, Recovery]:
    """A connection to a whole log file of the present format, made where there is none; the caller locks.

    Raises:
        StoreError: Damaged, foreign, of a newer format, or gone though its write-ahead log is there.
    """
    began = time.perf_counter()
    wal = look_at_wal(path)
    _expect_file(path, wal.used)
    sealed = None if wal.used else matches_seal(path)
    connection = connect(path, readonly=False)
    try:
        found = format_of(connection, path)
        checked = check(connection, path, sealed)
        break_seal(path)
        set_durable(connection)
        copy = copy_beside(connection, path, found) if 0 < found < FORMAT else None
        if found < FORMAT:
            _make(connection, found)
        _, frames, _ = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        restored = frames if wal.used and found == FORMAT else 0
        recovery = Recovery(
            unclean=wal.used,
            restored=restored,
            cut=max(wal.frames - restored, 0) if found == FORMAT else 0,
            checked=checked,
            copy=copy,
            position=last_position(connection),
            seconds=time.perf_counter() - began,
        )
    except BaseException:
        connection.close()
        raise
    _tell(path, recovery)
    return connection, recovery


def check(connection: sqlite3.Connection, path: Path, sealed: bool | None) -> Checked:
    """How the file was checked and found whole; `sealed` as `matches_seal` gave it.

    Raises:
        sqlite3.DatabaseError: It is damaged.
    """
    found = format_of(connection, path)
    if found == 0 or sealed:
        return "seal" if sealed else "new"
    thorough = found == FORMAT and (sealed is False or path.stat().st_size <= THOROUGH_BYTES)
    faults = whole.content(connection) if thorough else whole.structure(connection)
    if faults:
        raise sqlite3.DatabaseError("; ".join(faults))
    return "content" if thorough else "structure"


def _expect_file(path: Path, wal: bool) -> None:
    if not (path.is_file() and path.stat().st_size) and (wal or seal_path(path).exists()):
        other = "write-ahead log" if wal else "seal"
        raise StoreError(
            f"{path}: the file is missing or empty, but its {other} is there: the log was lost, not begun. "
            f"Put back a backup, or remove {path.name}-wal and {seal_path(path).name} to begin a new one"
        )


def _make(connection: sqlite3.Connection, found: int) -> None:
    connection.execute("PRAGMA journal_mode = WAL")
    with transaction(connection):
        upgrade(connection, found)
        connection.execute(f"PRAGMA application_id = {APPLICATION}")


def _tell(path: Path, recovery: Recovery) -> None:
    # a command without logs of its own must not find this among its results on standard output
    quiet = structlog.wrap_logger(structlog.PrintLogger(sys.stderr))
    logger = structlog.get_logger() if structlog.is_configured() else quiet
    if recovery.unclean or recovery.copy:
        logger.warning(
            "log recovered" if recovery.unclean else "log upgraded",
            path=str(path),
            position=recovery.position,
            restored=recovery.restored,
            cut=recovery.cut,
            checked=recovery.checked,
            copy=str(recovery.copy) if recovery.copy else None,
            seconds=round(recovery.seconds, 3),
        )
