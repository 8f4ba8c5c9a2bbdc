"""The process of one job: ``python -m polyscene.jobs.worker WORKSPACE ID``."""

import os
import sys
import time
import traceback
from pathlib import Path
from threading import Lock
from typing import Any, Self

import msgspec

from polyscene.core.clock import SystemClock
from polyscene.core.contracts import ProgressBar
from polyscene.core.errors import PolysceneError
from polyscene.jobs.record import Job, Records

TOLD_S = 0.5
"""How often progress is written."""
NICE = 10
"""Politeness towards the service on the same machine."""


class Teller:
    """Writes progress into the job's record."""

    def __init__(self, records: Records, job: Job) -> None:
        self.job = job
        self._records = records
        self._part, self._parts = 0, 1
        self._told = 0.0
        self._lock = Lock()

    def share(self, part: int, parts: int) -> None:
        """The bars from now on are part `part` of `parts`."""
        self._part, self._parts = part, parts
        self.tell(self.job.text, 0.0)

    def bar(self, label: str, total: int) -> ProgressBar:
        """A bar whose steps are told in the record."""
        return _Bar(self, label, total)

    def tell(self, text: str, fraction: float) -> None:
        """Where the work is, `fraction` of this part done."""
        with self._lock:
            if time.monotonic() - self._told < TOLD_S:
                return
            self._told = time.monotonic()
            progress = (self._part + min(1.0, fraction)) / self._parts
            self.put(text=text, progress=round(max(progress, self.job.progress), 4))

    def put(self, **changes: Any) -> None:
        """Writes the record with changes."""
        self.job = self._records.put(msgspec.structs.replace(self.job, **changes))


class _Bar:
    """One running bar."""

    def __init__(self, teller: Teller, label: str, total: int) -> None:
        self._teller, self._label, self._total = teller, label, total
        self._done = 0

    def __enter__(self) -> Self:
        self._teller.tell(self._label, 0.0)
        return self

    def __exit__(self, *failure: object) -> None:
        return None

    def advance(self, steps: int = 1, note: str = "") -> None:
        """Moves on."""
        self._done += steps
        text = f"{self._label}: {self._done} of {self._total}" + (f", {note}" if note else "")
        self._teller.tell(text, self._done / max(1, self._total))


def main(root: Path, job_id: str) -> int:
    """Does the job and writes what became of it; gives the exit code."""
    records, clock = Records(root), SystemClock()
    with records.working(job_id) as ours:
        job = records.get(job_id)
        if not ours or job.state != "queued":
            return 0
        teller = Teller(records, job)
        teller.put(state="running", started=clock.now())
        os.nice(NICE)
        try:
            result = _work(root, job, records, teller)
        except PolysceneError as problem:
            teller.put(state="failed", finished=clock.now(), error=str(problem))
            return 1
        except Exception:
            # Whatever it was, the record must not stand as running; the log has the traceback.
            traceback.print_exc()
            told = f"the program made a mistake; {records.errors(job_id)} has the details"
            teller.put(state="failed", finished=clock.now(), error=told)
            raise
        output = result.pop("output", "")
        teller.put(state="done", finished=clock.now(), progress=1.0, text="", result=result, output=output)
    return 0


def _work(root: Path, job: Job, records: Records, teller: Teller) -> dict[str, Any]:
    from polyscene.jobs.tasks import KINDS, Task, arguments_of
    from polyscene.jobs.workspace import Workspace

    task = Task(Workspace.open(root), records, job.id, teller.bar, teller.share)
    return KINDS[job.kind].work(task, arguments_of(job.kind, job.arguments))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2]))
