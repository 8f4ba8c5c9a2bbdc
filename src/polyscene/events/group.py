"""Group commit: one thread writes, many wait; who comes while the disk is busy shares the next commit."""

import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from typing import Any, Protocol

from polyscene.core.errors import StoreError

Work = Callable[[sqlite3.Connection], Any]
LINGER_S = 0.1
"""How long work that nobody waits for may lie before it is committed."""
MOST_JOBS = 512
"""How many jobs may share a commit."""


class Ledger(Protocol):
    """What the writer knows in memory and must keep in step with the file."""

    def write(self, connection: sqlite3.Connection) -> None:
        """Stores what was staged, inside the transaction."""
        ...

    def settle(self) -> None:
        """After a commit."""
        ...

    def revert(self) -> None:
        """After a rollback."""
        ...


@dataclass(frozen=True, slots=True)
class _Job:
    work: Work
    urgent: bool
    future: "Future[Any]" = field(default_factory=Future)


class GroupCommit:
    """Runs jobs one after another on one connection and answers each when the commit with it is on disk.

    Jobs that arrive during a commit (one fsync) are committed together by the next one, so throughput
    grows with the number of callers and a lone caller waits for one fsync only. If any job of a group
    fails, none of the group is kept.
    """

    def __init__(self, connection: sqlite3.Connection, ledger: Ledger, name: str) -> None:
        self._connection, self._ledger, self._name = connection, ledger, name
        self._queue: SimpleQueue[_Job | None] = SimpleQueue()
        self._door = Lock()
        self._closed = False
        self._thread = Thread(target=self._run, name=f"log-writer:{name}", daemon=True)
        self._thread.start()

    def submit(self, work: Work, *, urgent: bool = True) -> "Future[Any]":
        """Queues a job; `urgent` False lets it wait up to `LINGER_S` for company.

        The future holds what `work` gave, or a StoreError when it was not kept.

        Raises:
            StoreError: The log is closed.
        """
        with self._door:
            if self._closed:
                raise StoreError(f"{self._name}: the log is closed; open it again")
            job = _Job(work, urgent)
            self._queue.put(job)
        return job.future

    def close(self) -> None:
        """Commits what waits and ends the thread."""
        with self._door:
            if not self._closed:
                self._closed = True
                self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        running = True
        try:
            while running:
                jobs, running = self._gather()
                self._commit(jobs)
        finally:
            with self._door:
                self._closed = True
            while not self._queue.empty():
                self._refuse([job for job in (self._queue.get(),) if job], "the writer stopped")

    def _gather(self) -> tuple[list[_Job], bool]:
        jobs: list[_Job] = []
        hurry, deadline = False, 0.0
        while len(jobs) < MOST_JOBS:
            try:
                wait = 0.0 if hurry else deadline - time.monotonic()
                job = self._queue.get(timeout=max(wait, 0.0)) if jobs else self._queue.get()
            except Empty:
                break
            if job is None:
                return jobs, False
            deadline = deadline or time.monotonic() + LINGER_S
            hurry = hurry or job.urgent
            jobs.append(job)
        return jobs, True

    def _commit(self, jobs: list[_Job]) -> None:
        if not jobs:
            return
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            results = [job.work(self._connection) for job in jobs]
            self._ledger.write(self._connection)
            self._connection.execute("COMMIT")
        except sqlite3.Error as problem:
            self._roll_back()
            self._refuse(jobs, f"{problem} ({getattr(problem, 'sqlite_errorname', 'no code')})")
        else:
            self._ledger.settle()
            for job, result in zip(jobs, results, strict=True):
                job.future.set_result(result)
        finally:
            # only after a fault of the program itself: nobody may wait for ever
            self._refuse([job for job in jobs if not job.future.done()], "the writer failed")

    def _roll_back(self) -> None:
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")
        self._ledger.revert()

    def _refuse(self, jobs: list[_Job], why: str) -> None:
        for job in jobs:
            todo = "Check free space and permissions, then send it again"
            job.future.set_exception(StoreError(f"{self._name}: {why}; nothing was kept. {todo}"))
