import random

import pytest

from polyscene.core.clock import FixedClock
from polyscene.observe.rates import SECONDS, Rates, figures

NOW = 1_767_225_600_000


def counted(clock, replies):
    """A ring that saw `replies`: (seconds before now, group, status, seconds)."""
    rates = Rates(clock)
    for ago, group, status, seconds in sorted(replies, reverse=True):
        clock.at = NOW - ago * 1000
        rates.count(group, status, seconds)
    clock.at = NOW
    return rates


def test_steps_are_full_aligned_and_end_before_the_present_second():
    rates = counted(FixedClock(NOW), [(0, "a", 200, 0.01), (1, "a", 200, 0.01), (7, "b", 404, 0.02)])
    steps = rates.steps(5)
    starts = [start for start, _ in steps]
    assert all(start % 5 == 0 for start in starts)
    assert starts[-1] + 5 <= NOW // 1000
    assert len(steps) == SECONDS // 5 - 1
    assert figures([steps[-1][1]]).requests == 1
    assert figures([steps[-2][1]], "b").refused == 1
    assert figures([steps[-2][1]], "a").requests == 0


def test_what_is_older_than_the_ring_is_forgotten():
    clock = FixedClock(NOW)
    rates = counted(clock, [(1, "a", 200, 0.01)])
    clock.at += SECONDS * 1000
    assert figures(counts for _, counts in rates.steps(1)).requests == 0


def test_status_is_told_apart_and_nothing_gives_no_quantile():
    rates = counted(FixedClock(NOW), [(2, "a", status, 0.01) for status in (200, 304, 404, 422, 500, 503)])
    found = figures(counts for _, counts in rates.steps(1))
    assert (found.requests, found.refused, found.failed) == (6, 2, 2)
    assert figures([], "a").p50_ms is None


@pytest.mark.parametrize("scale", [1e-4, 0.004, 2.0])
def test_quantiles_are_within_a_bucket_of_the_truth(scale):
    rng = random.Random(7)
    seconds = [rng.lognormvariate(0, 0.5) * scale for _ in range(1000)]
    rates = counted(FixedClock(NOW), [(rng.randrange(1, 60), "a", 200, each) for each in seconds])
    found = figures(counts for _, counts in rates.steps(1))
    seconds.sort()
    for share, got in ((0.5, found.p50_ms), (0.95, found.p95_ms), (0.99, found.p99_ms)):
        assert got == pytest.approx(max(seconds[int(share * 1000) - 1], 64e-6) * 1e3, rel=0.06)


def test_a_reply_of_no_time_or_of_an_hour_is_counted():
    rates = counted(FixedClock(NOW), [(1, "a", 200, 0.0), (1, "a", 200, 3600.0)])
    assert figures(counts for _, counts in rates.steps(1)).requests == 2
