"""Token buckets: a burst, then the rate; those who come rarely are forgotten."""

import pytest

from polyscene.serve.limits import MOST, Buckets


def test_a_burst_then_the_rate():
    buckets = Buckets()
    assert [buckets.wait("a", 2, 4, 0.0) for _ in range(5)] == [0, 0, 0, 0, 0.5]
    assert buckets.wait("a", 2, 4, 0.25) == pytest.approx(0.25)
    assert buckets.wait("a", 2, 4, 0.5) == 0
    assert buckets.wait("a", 2, 4, 0.5) > 0
    assert [buckets.wait("a", 2, 4, 100.0) for _ in range(5)][-1] > 0


def test_each_name_has_its_own_and_their_number_is_bounded():
    buckets = Buckets()
    for number in range(MOST + 10):
        assert buckets.wait(str(number), 1, 1, 0.0) == 0
    assert buckets.wait(str(MOST + 9), 1, 1, 0.0) > 0
    assert buckets.wait("0", 1, 1, 0.0) == 0
