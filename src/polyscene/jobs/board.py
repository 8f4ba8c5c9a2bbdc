"""The board: long work that a running service starts, in processes of their own, one after another."""

import os
import signal
import sys
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from threading import Condition, Thread
from typing import Any
from uuid import uuid4

import msgspec
import structlog

from polyscene.core.clock import Clock
from polyscene.core.errors import BusyError, ConflictError, InputError, NotFoundError, PolysceneError
from polyscene.events.event import Exposure
from polyscene.events.log import EventLog
from polyscene.jobs.record import OPEN, Job, JobState, Records
from polyscene.jobs.tasks import arguments_of
from polyscene.observe.counters import CANARY_REFUSALS

LOOK_S = 0.25
"""How often a running job is looked at."""
KEPT = 200
"""Finished jobs that are remembered; older ones go with their files."""
WAITING = 50
"""Jobs that may wait."""
_log = structlog.get_logger(__name__)


class Board:
    """Takes jobs, runs one at a time, and tells how far they are; safe to call from several threads.

    A job goes on when the service stops, and is found again when it starts. Its exposures enter the log
    when it is done, because the log has one writer.
    """

    def __init__(self, root: Path, log: EventLog, clock: Clock) -> None:
        self._root = root
        self._records = Records(root)
        self._log = log
        self._clock = clock
        self._cancelled: set[str] = set()
        self._process: int | None = None
        self._at_hand: str | None = None
        self._change = Condition()
        self._open = True
        self._thread: Thread | None = None

    def begin(self) -> None:
        """Goes on with what a service before left: jobs that wait, work, or are not taken over yet."""
        with self._change:
            for job in self._records.all():
                if job.state == "done":
                    self._absorb(job)
            self._wake()

    def start(self, kind: str, arguments: Mapping[str, Any], *, key: str | None = None) -> Job:
        """Queues a job. The same `key` again gives the job that it stands for.

        Raises:
            InputError: An unknown kind or a wrong argument.
            ConflictError: The key stands for another job.
            BusyError: Too many are waiting.
        """
        raw = msgspec.to_builtins(arguments_of(kind, arguments))
        name = uuid4().hex[:16] if key is None else blake2b(key.encode(), digest_size=8).hexdigest()
        with self._change:
            jobs = {job.id: job for job in self._records.all()}
            if name in jobs:
                if (jobs[name].kind, jobs[name].arguments) != (kind, raw):
                    raise ConflictError("jobs: this Idempotency-Key stands for another job; send a new one")
                return jobs[name]
            if sum(job.state == "queued" for job in jobs.values()) >= WAITING:
                raise BusyError(f"jobs: {WAITING} are waiting; cancel some, or come back later")
            self._forget(list(jobs.values()))
            job = self._records.put(
                Job(id=name, kind=kind, state="queued", arguments=raw, created=self._clock.now())
            )
            self._wake()
        return job

    def list(self, cursor: str | None = None, n: int = 20) -> tuple[list[Job], str]:
        """`n` jobs, newest first, and the cursor of the next ones; empty at the end.

        Raises:
            InputError: The cursor was not given out here.
        """
        jobs = self._records.all()
        if cursor:
            after = _read_cursor(cursor)
            jobs = [job for job in jobs if (-job.created, job.id) > after]
        more = len(jobs) > n
        jobs = jobs[:n]
        return jobs, _cursor(jobs[-1]) if more and jobs else ""

    def get(self, job_id: str) -> Job:
        """One job. Raises NotFoundError if there is none of that id."""
        return self._records.get(job_id)

    def cancel(self, job_id: str) -> Job:
        """Stops a job, whether it waits or works.

        Raises:
            NotFoundError: There is none of that id.
            ConflictError: It has ended already.
        """
        with self._change:
            job = self._records.get(job_id)
            if job.state not in OPEN:
                raise ConflictError(f"jobs: {job_id!r} is {job.state} already")
            self._cancelled.add(job_id)
            if job.state == "queued" and job_id != self._at_hand:
                self._end(job, "cancelled", "")
            while self._open and self._records.get(job_id).state in OPEN:
                worker = self._records.worker(job_id)
                if worker is not None:
                    os.kill(worker, signal.SIGTERM)
                self._wake()
                self._change.wait(LOOK_S)
        return self._records.get(job_id)

    def output(self, job_id: str) -> tuple[Path, str]:
        """The file that a job made, and its media type.

        Raises:
            NotFoundError: No such job, or it made no file (yet).
        """
        job = self._records.get(job_id)
        path = self._records.output(job)
        if not job.output or not path.is_file():
            raise NotFoundError(f"jobs: {job_id!r} is {job.state} and has no file")
        return path, job.output

    def close(self) -> None:
        """Looks no more; what works goes on by itself."""
        with self._change:
            self._open = False
            self._change.notify_all()
            thread = self._thread
        if thread is not None:
            thread.join()

    def _wake(self) -> None:
        if self._thread is None:
            self._thread = Thread(target=self._watch, name="polyscene-board", daemon=True)
            self._thread.start()
        self._change.notify_all()

    def _watch(self) -> None:
        """As long as anything is to do, sees to it."""
        with self._change:
            while self._open and (job := self._next()) is not None:
                try:
                    self._tend(job)
                except (OSError, PolysceneError) as problem:
                    _log.error("job_not_tended", job=job.id, detail=str(problem))
                self._change.notify_all()
                self._change.wait(LOOK_S)
            self._thread = None

    def _next(self) -> Job | None:
        """The job at hand: the one that works, else the one that waits longest."""
        if self._at_hand is not None:
            return self._records.get(self._at_hand)
        jobs = [job for job in reversed(self._records.all()) if job.state in OPEN]
        return next((job for job in jobs if job.state == "running"), jobs[0] if jobs else None)

    def _tend(self, job: Job) -> None:
        """Starts a job that waits; once the process of one is gone, sees what became of it."""
        if job.state == "queued" and self._at_hand is None:
            self._launch(job)
            return
        self._at_hand = job.id
        if self._process is not None and not _ended(self._process):
            return
        if self._records.worker(job.id) is not None:
            return
        self._at_hand = self._process = None
        self._settle(self._records.get(job.id))

    def _launch(self, job: Job) -> None:
        command = [sys.executable, "-m", "polyscene.jobs.worker", str(self._root), job.id]
        errors = os.open(self._records.errors(job.id), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            # A session of its own: Ctrl+C at the service is not meant for what it works on, which may also
            # outlive it.
            self._process = os.posix_spawn(
                sys.executable,
                command,
                os.environ,
                file_actions=[
                    (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                    (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
                    (os.POSIX_SPAWN_DUP2, errors, 2),
                ],
                setsid=True,
            )
        finally:
            os.close(errors)
        self._at_hand = job.id

    def _settle(self, job: Job) -> None:
        """Writes how a job ended that could not say so itself; takes over what one that is done left."""
        if job.state in OPEN:
            why = "interrupted: its process ended before the job did; start it again"
            self._end(job, "cancelled" if job.id in self._cancelled else "failed", why)
        elif job.state == "done":
            self._absorb(job)
            for report in (job.result or {}).get("scenarios", ()):
                if report["refused"]:
                    CANARY_REFUSALS.labels(report["scenario"], "train").inc()

    def _end(self, job: Job, state: JobState, why: str) -> None:
        now = self._clock.now()
        error = why if state == "failed" else ""
        self._records.put(msgspec.structs.replace(job, state=state, finished=now, error=error))

    def _absorb(self, job: Job) -> None:
        """Logs the exposures of an export; the first of a request id stays, so twice does no harm."""
        path = self._records.shown(job.id)
        if not path.is_file():
            return
        with path.open("rb") as lines:
            for line in lines:
                keep(self._log, msgspec.json.decode(line, type=Exposure))
        self._log.flush()
        path.unlink()

    def _forget(self, jobs: Sequence[Job]) -> None:
        """Makes room: the oldest jobs that have ended go."""
        for job in [job for job in jobs if job.state not in OPEN][KEPT:]:
            self._records.remove(job)


def _ended(process: int) -> bool:
    """Whether a process that we started is over; then its number is free for others."""
    try:
        return os.waitpid(process, os.WNOHANG)[0] != 0
    except ChildProcessError:
        return True


def keep(log: EventLog, exposure: Exposure) -> None:
    """Logs an exposure, waiting for the disk where too many wait for it already."""
    try:
        log.append_exposure(exposure)
    except BusyError:
        log.flush()
        log.append_exposure(exposure)


def _cursor(job: Job) -> str:
    return urlsafe_b64encode(msgspec.json.encode((-job.created, job.id))).decode().rstrip("=")


def _read_cursor(cursor: str) -> tuple[int, str]:
    try:
        raw = urlsafe_b64decode(cursor.encode() + b"=" * (-len(cursor) % 4))
        return msgspec.json.decode(raw, type=tuple[int, str])
    except (ValueError, msgspec.DecodeError) as problem:
        raise InputError(
            f"jobs: cursor {cursor[:40]!r} was not given out here; send it as it came"
        ) from problem
