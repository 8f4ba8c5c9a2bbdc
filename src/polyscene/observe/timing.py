"""A stopwatch over the three costs of a piece of work: wall clock, processor, memory."""

import resource
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Self


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds on the wall, seconds of all threads of the process, its peak memory so far in 10^6 bytes."""

    seconds: float
    cpu_seconds: float
    peak_mb: float


class Stopwatch:
    """Measures from entering the with statement; read `cost` at any time, it stands still after the end."""

    def __init__(self) -> None:
        self._began = self._cpu_began = 0.0
        self._final: Cost | None = None

    def __enter__(self) -> Self:
        self._began, self._cpu_began = time.perf_counter(), time.process_time()
        return self

    def __exit__(self, *failure: object) -> None:
        self._final = self.cost

    @property
    def cost(self) -> Cost:
        """What it took so far, or in all."""
        return self._final or Cost(
            time.perf_counter() - self._began, time.process_time() - self._cpu_began, peak_mb()
        )


def resident_bytes() -> int:
    """Resident memory of this process now; where the system does not tell, its peak."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return int(peak_mb() * 1e6)
    return pages * resource.getpagesize()


def peak_mb() -> float:
    """Largest resident memory of this process so far, in MB (10^6 bytes)."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # macOS counts bytes, Linux kibibytes
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6
