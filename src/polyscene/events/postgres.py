"""The event log in PostgreSQL: durable where the server is, one writer thread with group commit."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, closing
from typing import Any

from polyscene.core.clock import Clock, SystemClock
from polyscene.core.errors import StoreError
from polyscene.events import postgres_writing as writing
from polyscene.events.check import check_bulk, check_exposure, check_once, check_records
from polyscene.events.event import Exposure, Posted
from polyscene.events.group import GroupCommit
from polyscene.events.log import Bulk, Erased, Once, Receipt
from polyscene.events.pending import Pending
from polyscene.events.postgres_reading import SCHEMA, PostgresReader, storable
from polyscene.events.postgres_server import Address, Connection, Fault, Lost, guard
from polyscene.events.postgres_tables import ALL, last_position, lock, prepare

BULK_ROWS = 100_000
"""Rows of one transaction of `append_columns`."""


class _Transactions:
    """The writer's connection, made anew when it was lost, and the codes it gives out."""

    faults: tuple[type[Exception], ...] = (Fault, StoreError)

    def __init__(self, address: Address) -> None:
        self._address = address
        self._committing = False
        self._open()

    def _open(self) -> None:
        connection = self._address.connect(readonly=False)
        with ExitStack() as undo:
            undo.callback(connection.close)
            # never weaker than this server's disk; a stricter setting (waiting for standbys) is left alone
            connection.execute(
                "SELECT set_config('synchronous_commit', 'on', false) "
                "WHERE current_setting('synchronous_commit') = 'off'"
            )
            lock(connection, self._address)
            prepare(connection, self._address)
            # what was given out before may not have been kept, and somebody else may have written since
            self.book = writing.PostgresBook(connection, last_position(connection))
            self._connection: Connection = connection
            undo.pop_all()

    def begin(self) -> Connection:
        self._committing = False
        try:
            self._connection.execute("BEGIN")
        except Lost:
            # the connection was cut while nothing was under way, so nothing can be lost by a new one
            self._connection.close()
            self._open()
            self._connection.execute("BEGIN")
        return self._connection

    def commit(self) -> None:
        self.book.write(self._connection)
        self._committing = True
        self._connection.execute("COMMIT")
        self.book.settle()

    def roll_back(self, problem: Exception) -> StoreError:
        unknown = self._committing and self._connection.closed
        try:
            self._connection.execute("ROLLBACK")
        except Fault:
            self._connection.close()
        self.book.revert()
        if isinstance(problem, StoreError):
            return problem
        outcome = "whether it was kept is not known" if unknown else "nothing was kept"
        return self._address.explain(
            problem, "write", f"{outcome}: send it again, what is known counts once"
        )

    def close(self) -> None:
        self._connection.close()


class PostgresLog(PostgresReader):
    """An `EventLog` in a schema of a PostgreSQL server; what `append` acknowledged is on its disk.

    One log object at a time may write to a schema (it holds an advisory lock); others use
    `PostgresReader`. When the server goes away, what is under way fails with StoreError and may be sent
    again; the next append finds the server once it is back.

    Args:
        dsn: Address of the server and database, as libpq takes it; never shown in an error.
        schema: Where the tables are; made if need be.
        clock: Tells when idempotency keys are forgotten.

    Raises:
        StoreError: Not reachable, a standby, foreign, of a newer format, or already being written.
    """

    def __init__(self, dsn: str, schema: str = SCHEMA, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        address = Address.of(dsn, schema)
        with ExitStack() as undo:
            with guard(address, "open"):
                self._transactions = _Transactions(address)
            undo.callback(self._transactions.close)
            super().__init__(dsn, schema)
            self._undo = undo.pop_all()
        self._group = GroupCommit(self._transactions, str(address))
        self._pending = Pending(self._group, writing.add_exposures, str(address))

    def _do(self, work: Callable[..., Any], *arguments: Any) -> "Future[Any]":
        return self._group.submit(lambda connection: work(connection, self._transactions.book, *arguments))

    @property
    def fault(self) -> str | None:
        """None: a server that comes back is written to again."""
        return None

    def append(self, records: Sequence[Posted], *, once: Once | None = None) -> Receipt:
        """Keeps all records, or none; returns when they are safe on disk."""
        return self.submit(records, once=once).result()

    def submit(self, records: Sequence[Posted], *, once: Once | None = None) -> "Future[Receipt]":
        """As `append`, without waiting."""
        check_records(records)
        if once is None:
            return self._do(writing.append, tuple(records))
        check_once(once)
        return self._do(writing.append_once, tuple(records), once, self._clock.now())

    def append_columns(self, bulk: Bulk) -> Receipt:
        """Keeps many interactions at once, `BULK_ROWS` a transaction."""
        check_bulk(bulk)
        accepted, position = 0, self.position
        for start in range(0, len(bulk), BULK_ROWS):
            stop = min(start + BULK_ROWS, len(bulk))
            receipt = self._do(writing.append_slice, bulk, start, stop).result()
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
        """Deletes what is known of a user, and of the guests merged into it.

        The deleted rows are vacuumed at once; docs/howto/postgres.md says where the server may still hold
        their bytes for a while.
        """
        self.flush()
        if storable(user) is None:
            return Erased(0, 0, 0, self.position)
        erased: Erased
        codes, erased = self._do(writing.erase_user, user, at).result()
        self._names.forget(codes)
        with guard(self._address, "erase"), closing(self._address.connect(readonly=False)) as connection:
            connection.execute(f"VACUUM {ALL}")
        return erased

    def close(self) -> None:
        """Writes what waits and lets go of the connections."""
        with self._undo:
            try:
                if self._pending:
                    self.flush()
            finally:
                self._group.close()
                super().close()
