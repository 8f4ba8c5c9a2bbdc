"""The last minutes of a service, second by second: requests, errors and how long they took."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from math import ceil, log2
from typing import NamedTuple

from polyscene.core.clock import SECOND_MS, Clock

SECONDS = 600
"""How far back the ring reaches."""
FASTEST_S = 64e-6
PER_OCTAVE = 8
LAST_BUCKET = 20 * PER_OCTAVE
"""Buckets grow by an eighth of an octave from 64 µs to 67 s, so a quantile is within 4.5 % of the truth."""


class Kind(NamedTuple):
    """What requests of one second are counted under; `status` is its first digit."""

    group: str
    status: int
    bucket: int


@dataclass(frozen=True, slots=True)
class Figures:
    """Some requests: how many, refused (4xx), failed (5xx), and milliseconds; None without requests."""

    requests: int
    refused: int
    failed: int
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None


class Rates:
    """A ring of seconds that counts replies; `count` costs about a microsecond.

    Memory is bounded by the number of groups, which must be few: route groups, never ids. One thread
    counts; any may read, because only seconds that are over are read.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ring: list[tuple[int, dict[Kind, int]]] = [(-1, {})] * SECONDS

    def count(self, group: str, status: int, seconds: float) -> None:
        """Counts one reply that took `seconds`."""
        second = self._clock.now() // SECOND_MS
        at, counts = self._ring[second % SECONDS]
        if at != second:
            counts = {}
            self._ring[second % SECONDS] = (second, counts)
        bucket = ceil(log2(seconds / FASTEST_S) * PER_OCTAVE) if seconds > FASTEST_S else 0
        kind = Kind(group, status // 100, min(bucket, LAST_BUCKET))
        counts[kind] = counts.get(kind, 0) + 1

    def steps(self, step_s: int) -> list[tuple[int, Counter[Kind]]]:
        """Every full step of the ring, oldest first, with its start (UTC s, a multiple of `step_s`)."""
        end = self._clock.now() // SECOND_MS // step_s * step_s
        starts = range(end - (SECONDS - step_s) // step_s * step_s, end, step_s)
        found = {start: Counter[Kind]() for start in starts}
        for at, counts in self._ring:
            start = at // step_s * step_s
            if start in found:
                found[start].update(counts)
        return list(found.items())


def figures(counts: Iterable[Counter[Kind]], group: str | None = None) -> Figures:
    """The figures of some steps, of one group or of all."""
    buckets, status = Counter[int](), Counter[int]()
    for each in counts:
        for kind, n in each.items():
            if group is None or kind.group == group:
                buckets[kind.bucket] += n
                status[kind.status] += n
    return Figures(
        requests=buckets.total(),
        refused=status[4],
        failed=status[5],
        p50_ms=_quantile(buckets, 0.50),
        p95_ms=_quantile(buckets, 0.95),
        p99_ms=_quantile(buckets, 0.99),
    )


def _quantile(buckets: Counter[int], share: float) -> float | None:
    """Milliseconds that `share` of the requests did not exceed, at the middle of their bucket."""
    left = ceil(buckets.total() * share)
    for bucket in sorted(buckets):
        left -= buckets[bucket]
        if left <= 0:
            return float(f"{FASTEST_S * 2 ** ((bucket - 0.5) / PER_OCTAVE) * 1e3:.3g}")
    return None
