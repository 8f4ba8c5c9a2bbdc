"""The event log in one SQLite file: durable, one writer thread with group commit."""

import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Any, TypeVar

from polyscene.core.clock import Clock, SystemClock
from polyscene.core.errors import StoreError
from polyscene.events import store, writing
from polyscene.events.check import check_bulk, check_exposure, check_once, check_records
from polyscene.events.erasing import erase_user
from polyscene.events.event import Exposure, Posted
from polyscene.events.group import GroupCommit
from polyscene.events.keys import append_once
from polyscene.events.log import Bulk, Erased, Once, Receipt
from polyscene.events.names import CodeBook
from polyscene.events.opening import Recovery, open_for_writing
from polyscene.events.pending import Pending
from polyscene.events.reading import SqliteReader
from polyscene.events.seal import put_seal
from polyscene.events.store import guard, store_error

BULK_ROWS = 100_000
"""Rows of one transaction of `append_columns`."""
T = TypeVar("T")


BREAKING = ("SQLITE_IOERR_FSYNC", "SQLITE_IOERR_DIR_FSYNC", "SQLITE_CORRUPT", "SQLITE_NOTADB")
"""After these nobody knows what is on disk: a second try could claim what was lost."""


class _Transactions:
    """The writer's connection, and the codes it gives out."""

    faults: tuple[type[Exception], ...] = (sqlite3.Error, StoreError)

    def __init__(self, connection: sqlite3.Connection, book: CodeBook, name: str) -> None:
        self._connection, self._book, self._name = connection, book, name
        self.fault: str | None = None

    def begin(self) -> sqlite3.Connection:
        if self.fault:
            raise StoreError(self.fault)
        self._connection.execute("BEGIN IMMEDIATE")
        return self._connection

    def commit(self) -> None:
        self._book.write(self._connection)
        self._connection.execute("COMMIT")
        self._book.settle()

    def roll_back(self, problem: Exception) -> StoreError:
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")
        self._book.revert()
        if isinstance(problem, StoreError):
            return problem
        if getattr(problem, "sqlite_errorname", "").startswith(BREAKING):
            self.fault = (
                f"{self._name}: {problem} ({problem.sqlite_errorname}): the disk may have lost what it was "  # type: ignore[attr-defined]
                "given, so the log takes nothing more. Check the disk, then start again"
            )
            return StoreError(f"{self.fault}; nothing was kept")
        return store_error(f"{self._name}: nothing was kept: ", problem)


class SqliteLog(SqliteReader):
    """An `EventLog` in a file; what `append` acknowledged outlives a crash and a power cut.

    One log object at a time may write to a file (it holds ``<path>.lock``); others use `SqliteReader`.
    `recovery` tells what opening found.

    Raises:
        StoreError: Damaged, foreign, of a newer format, not writable, or already being written.
    """

    recovery: Recovery

    def __init__(self, path: str | Path, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        with ExitStack() as undo:
            self._open_for_writing(Path(path), undo)
            super().__init__(path)
            self._undo = undo.pop_all()
        self._transactions = _Transactions(self._connection, self._book, str(path))
        self._group = GroupCommit(self._transactions, str(path))
        self._pending = Pending(self._group, writing.add_exposures, str(path))

    def _open_for_writing(self, path: Path, undo: ExitStack) -> None:
        with guard(path, "open"):
            path.parent.mkdir(parents=True, exist_ok=True)
            undo.callback(store.lock(path).close)
            self._connection, self.recovery = open_for_writing(path)
            undo.callback(self._connection.close)
            self._book = CodeBook(self._connection, self.recovery.position)

    @property
    def fault(self) -> str | None:
        """Why the log takes nothing more until it is opened again; None while it is well."""
        return self._transactions.fault

    def _wait(self, work: Callable[..., T], *arguments: Any) -> T:
        future: Future[T] = self._group.submit(lambda connection: work(connection, self._book, *arguments))
        return future.result()

    def append(self, records: Sequence[Posted], *, once: Once | None = None) -> Receipt:
        """Keeps all records, or none; returns when they are safe on disk."""
        return self.submit(records, once=once).result()

    def submit(self, records: Sequence[Posted], *, once: Once | None = None) -> "Future[Receipt]":
        """As `append`, without waiting."""
        check_records(records)
        kept = tuple(records)
        if once is None:
            return self._group.submit(lambda connection: writing.append(connection, self._book, kept))
        check_once(once)
        now = self._clock.now()
        return self._group.submit(lambda connection: append_once(connection, self._book, kept, once, now))

    def append_columns(self, bulk: Bulk) -> Receipt:
        """Keeps many interactions at once, `BULK_ROWS` a transaction."""
        check_bulk(bulk)
        accepted, position = 0, self.position
        for start in range(0, len(bulk), BULK_ROWS):
            stop = min(start + BULK_ROWS, len(bulk))
            receipt = self._wait(writing.append_slice, bulk, start, stop)
            accepted, position = accepted + receipt.accepted, receipt.position
        return Receipt(accepted, len(bulk) - accepted, position)

    def append_exposure(self, exposure: Exposure) -> None:
        """Keeps an exposure soon, without waiting; the first one of a request id stays."""
        check_exposure(exposure)
        self._pending.add(exposure)

    def flush(self) -> None:
        """Returns when every exposure appended before is safe on disk."""
        self._pending.flush()

    def exposure(self, request_id: str) -> Exposure | None:
        """The exposure of a request, also when it is not on disk yet."""
        return self._pending.get(request_id) or super().exposure(request_id)

    def erase_user(self, user: str, at: int) -> Erased:
        """Deletes what is known of a user, and of the guests merged into it, from the file too."""
        self.flush()
        codes, erased = self._wait(erase_user, user, at)
        self._names.forget(codes)
        # committed work stands in the write-ahead log until a checkpoint, old pages with it
        with guard(self.path, "erase"), closing(store.connect(self.path, readonly=False)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return erased

    def close(self) -> None:
        """Writes what waits, lets go of the file and seals it."""
        with self._undo:
            try:
                if self._pending:
                    self.flush()
            finally:
                self._group.close()
                super().close()
                self._seal()

    def _seal(self) -> None:
        # a file that can't be sealed is checked row by row when it is opened: no reason to fail now
        with suppress(sqlite3.Error, OSError):
            busy, _, _ = self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            self._connection.close()
            if not busy and not self.fault:
                put_seal(self.path)
