"""Group commit: one thread writes, many wait; who comes while the disk is busy shares the next commit."""

import time
from collections.abc import Callable
from concurrent.futures import Future
from copy import copy
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from typing import Any, Protocol

from polyscene.core.errors import PolysceneError, StoreError

Work = Callable[[Any], Any]
"""What a caller wants done, given the connection that the transaction runs on."""
LINGER_S = 0.1
"""How long work that nobody waits for may lie before it is committed."""
MOST_JOBS = 512
"""How many jobs may share a commit."""


class Transactions(Protocol):
    """The database under the writer, and what the writer knows in memory and keeps in step with it."""

    faults: tuple[type[Exception], ...]
    """What the methods and the jobs raise when the database refuses."""

    def begin(self) -> Any:
        """Starts a transaction and gives the connection that it runs on."""
        ...

    def commit(self) -> None:
        """Returns when all that was done in the transaction is on disk."""
        ...

    def roll_back(self, problem: Exception) -> StoreError:
        """Undoes the transaction, in memory too; gives what to tell those whose work is lost."""
        ...


@dataclass(frozen=True, slots=True)
class _Job:
    work: Work
    urgent: bool
    future: "Future[Any]" = field(default_factory=Future)


class GroupCommit:
    """Runs jobs one after another in one transaction and answers each when the commit with it is on disk.

    Jobs that arrive during a commit (one fsync) are committed together by the next one, so throughput
    grows with the number of callers and a lone caller waits for one fsync only. If any job of a group
    fails, none of the group is kept.
    """

    def __init__(self, transactions: Transactions, name: str) -> None:
        self._transactions, self._name = transactions, name
        self._queue: SimpleQueue[_Job | None] = SimpleQueue()
        self._door = Lock()
        self._closed = False
        self._thread = Thread(target=self._run, name=f"log-writer:{name}", daemon=True)
        self._thread.start()

    def submit(self, work: Work, *, urgent: bool = True) -> "Future[Any]":
        """Queues a job; `urgent` False lets it wait up to `LINGER_S` for company.

        The future holds what `work` gave (or raises it, if it is an error of ours: one job's fault is no
        reason to undo the others), or a StoreError when it was not kept.

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
                left = [job for job in (self._queue.get(),) if job]
                self._refuse(left, self._stopped("the writer stopped"))

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
            connection = self._transactions.begin()
            results = [job.work(connection) for job in jobs]
            self._transactions.commit()
        except self._transactions.faults as problem:
            self._refuse(jobs, self._transactions.roll_back(problem))
        else:
            for job, result in zip(jobs, results, strict=True):
                if isinstance(result, PolysceneError):
                    job.future.set_exception(result)
                else:
                    job.future.set_result(result)
        finally:
            # only after a fault of the program itself: nobody may wait for ever
            self._refuse([job for job in jobs if not job.future.done()], self._stopped("the writer failed"))

    def _stopped(self, why: str) -> StoreError:
        return StoreError(f"{self._name}: {why}; nothing was kept. Open the log again, then send it again")

    def _refuse(self, jobs: list[_Job], error: StoreError) -> None:
        for job in jobs:
            # one each: a raised error grows a traceback of its own in every thread
            job.future.set_exception(copy(error))
