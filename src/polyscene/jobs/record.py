"""The record of a job: one small file in the workspace, which outlives the process that works on it."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import msgspec

from polyscene.artifacts.files import inside, refused, replace_synced
from polyscene.core.errors import NotFoundError, StoreError

JobState = Literal["queued", "running", "done", "failed", "cancelled"]
OPEN: tuple[JobState, ...] = ("queued", "running")


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """One piece of long work. `progress` from 0 to 1, `text` says at what; times are UTC ms.

    `result` is what it found, `error` why it failed, `output` the media type of its file, if it made one.
    """

    id: str
    kind: str
    state: JobState
    arguments: dict[str, Any] = {}
    progress: float = 0.0
    text: str = ""
    created: int
    started: int | None = None
    finished: int | None = None
    result: dict[str, Any] | None = None
    error: str = ""
    output: str = ""


class Records:
    """The jobs of a workspace, as files ``jobs/<id>.json``."""

    def __init__(self, root: Path) -> None:
        self.folder = root / "jobs"
        self.exports = root / "exports"

    def all(self) -> list[Job]:
        """Every job, newest first."""
        if not self.folder.is_dir():
            return []
        with refused(self.folder, "list"):
            found = [self._read(path) for path in self.folder.glob("[!.]*.json")]
        return sorted(found, key=lambda job: (-job.created, job.id))

    def get(self, job_id: str) -> Job:
        """One job. Raises NotFoundError if there is none of that id."""
        path = inside(self.folder, f"{job_id}.json")
        if not path.is_file():
            raise NotFoundError(f"jobs: no job {job_id!r}; GET /v1/jobs lists them")
        return self._read(path)

    def put(self, job: Job) -> Job:
        """Writes a job; readers see it as it was or as it is."""
        with refused(self.folder, "write"):
            self.folder.mkdir(parents=True, exist_ok=True)
            replace_synced(inside(self.folder, f"{job.id}.json"), msgspec.json.encode(job))
        return job

    def remove(self, job: Job) -> None:
        """Deletes a job and what it made."""
        for path in [*self.folder.glob(f"{job.id}.*"), *self.exports.glob(f"{job.id}.*")]:
            path.unlink(missing_ok=True)

    def output(self, job: Job) -> Path:
        """Where the file of a job stands once it is done."""
        return inside(self.exports, f"{job.id}.out")

    def shown(self, job_id: str) -> Path:
        """Where the exposures of a job wait until they are in the log."""
        return inside(self.exports, f"{job_id}.shown")

    def errors(self, job_id: str) -> Path:
        """What the process of a job wrote to standard error."""
        return inside(self.folder, f"{job_id}.log")

    @contextmanager
    def working(self, job_id: str) -> Iterator[bool]:
        """Held by the process that works on a job, until it ends, however it ends; False: another does."""
        descriptor = os.open(self._lock(job_id), os.O_RDWR | os.O_CREAT, 0o644)
        try:
            mine = _locked(descriptor)
            if mine:
                os.pwrite(descriptor, b"%-20d" % os.getpid(), 0)
            yield mine
        finally:
            os.close(descriptor)

    def worker(self, job_id: str) -> int | None:
        """The process that works on a job; None if none does."""
        path = self._lock(job_id)
        if not path.is_file():
            return None
        descriptor = os.open(path, os.O_RDWR)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return int(os.pread(descriptor, 20, 0) or 0) or None
        else:
            return None
        finally:
            os.close(descriptor)

    def _lock(self, job_id: str) -> Path:
        return inside(self.folder, f"{job_id}.lock")

    def _read(self, path: Path) -> Job:
        try:
            return msgspec.json.decode(path.read_bytes(), type=Job)
        except msgspec.DecodeError as problem:
            raise StoreError(f"{path}: no record of a job ({problem}); delete it") from problem


def _locked(descriptor: int) -> bool:
    """Whether the lock was to be had; who only looks at it holds it too, for a moment."""
    for _ in range(20):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.05)
        else:
            return True
    return False
