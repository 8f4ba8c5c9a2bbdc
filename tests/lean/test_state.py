from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from tests.lean.conftest import ROWS

from polyscene.core.errors import ConfigError
from polyscene.lean.state import MOST_NEW, States

KINDS = [("ligr", "order"), ("ligr", "query"), ("hstu", "last"), ("hstu", "query"), ("sasrec", "last")]


class World:
    """One growing history of known items, asked again and again."""

    def __init__(self, twins, histories, length=40, **shape):
        _, self.lean, self.reading = twins(**shape)
        self.table = self.reading.table(histories([length]), ROWS)

    def states(self, **settings):
        return States(self.lean, self.reading, **{"limit_mb": 1, **settings})

    def at(self, count, later=60):
        """The first `count` events, the second of asking and the scenario."""
        first = self.table.take(np.array([0]))
        head = type(first)(
            np.array([0, count]), {name: each[:count] for name, each in first.columns.items()}
        )
        return head, head["second"][-1:] + later, np.array([count % 2])

    def full(self, *ask):
        return self.lean.encode(self.reading.asked(*ask))


@pytest.mark.parametrize(("block", "clock"), KINDS)
@pytest.mark.parametrize("heads", [1, 2])
def test_event_by_event_it_answers_as_a_full_encode(twins, histories, block, clock, heads):
    world = World(twins, histories, block=block, clock=clock, heads=heads, max_len=40)
    states = world.states()
    length = int(world.table.lengths[0])
    for count in (1, 2, 3, 4, 8, 9, 10, 20, *range(21, length + 1)):
        for later in (5, 5_000):
            ask = world.at(count, later)
            np.testing.assert_allclose(states.encode(*ask), world.full(*ask), rtol=1e-5, atol=1e-5)


def test_a_full_encode_is_only_made_when_needed(twins, histories, monkeypatch):
    world = World(twins, histories, max_len=40)
    states, made = world.states(), []
    encode = type(world.lean).encode
    monkeypatch.setattr(
        type(world.lean),
        "encode",
        lambda self, asked, kept=None: made.append(1) or encode(self, asked, kept),
    )
    for count in (5, 5, 6, 6 + MOST_NEW, 7 + 2 * MOST_NEW):
        states.encode(*world.at(count))
    assert len(made) == 2
    assert len(states) == 2


@pytest.mark.parametrize(("block", "clock"), KINDS)
def test_beyond_max_len_only_a_leeway_lets_answers_drift(twins, histories, block, clock):
    world = World(twins, histories, block=block, clock=clock, max_len=12)
    exact, loose = world.states(), world.states(leeway=3)
    drifted = []
    for count in range(10, 30):
        ask = world.at(count)
        full = world.full(*ask)
        np.testing.assert_allclose(exact.encode(*ask), full, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(exact.encode(*ask), full, rtol=1e-5, atol=1e-5)
        drifted.append(not np.allclose(loose.encode(*ask), full, rtol=1e-5, atol=1e-5))
    # Histories of 10 to 12 are exact; then three answers drift and the fourth starts afresh.
    assert drifted == [False] * 3 + ([True] * 3 + [False]) * 4 + [True]


def test_one_layer_without_a_convolution_never_drifts(twins, histories):
    world = World(twins, histories, layers=1, max_len=12, short_conv=0)
    states = world.states(leeway=100)
    for count in range(8, int(world.table.lengths[0])):
        ask = world.at(count)
        np.testing.assert_allclose(states.encode(*ask), world.full(*ask), rtol=1e-5, atol=1e-5)


def test_a_changed_history_never_meets_the_old_state(twins, histories):
    world = World(twins, histories, max_len=40, clock="last")
    states = world.states()
    states.encode(*world.at(20))
    for name in ("row", "second", "action", "value", "scenario"):
        head, second, scenario = world.at(20)
        columns = {each: values.copy() for each, values in head.columns.items()}
        columns[name][4] += 1 if columns[name][4] < 1 else -1
        changed = type(head)(head.offsets, columns)
        ask = changed, second, scenario
        np.testing.assert_allclose(states.encode(*ask), world.full(*ask), rtol=1e-5, atol=1e-5)
    shorter = head.take(np.array([0])).where(np.arange(20) != 3)
    ask = shorter, second, scenario
    np.testing.assert_allclose(states.encode(*ask), world.full(*ask), rtol=1e-5, atol=1e-5)


def test_half_floats_take_half_the_room_and_cost_little(twins, histories):
    world = World(twins, histories, max_len=40)
    halves, floats = world.states(dtype=np.float16), world.states()
    for count in range(5, 30):
        ask = world.at(count)
        np.testing.assert_allclose(halves.encode(*ask), floats.encode(*ask), rtol=0.02, atol=0.02)
    assert halves.size < 0.6 * floats.size


def test_memory_is_bounded_and_the_longest_unused_goes_first(twins, histories):
    world = World(twins, histories, max_len=40)
    one = world.states()
    one.encode(*world.at(5))
    states = world.states(limit_mb=3.5 * one.size / 1e6)
    tables = [world.reading.table(histories([6], seed), ROWS) for seed in range(1, 6)]
    asks = [(table, np.zeros(1, np.int64), np.zeros(1, np.int64)) for table in tables]
    for ask in asks:
        states.encode(*ask)
    assert len(states) == 3
    assert states.size == 3 * one.size
    states.clear()
    assert (len(states), states.size) == (0, 0)


def test_batches_and_empty_histories(twins, histories):
    world = World(twins, histories)
    table = world.reading.table(histories([0, 3, 9, 0]), ROWS)
    ask = table, np.full(4, 10**9), np.array([0, 1, 0, 1])
    np.testing.assert_allclose(world.states().encode(*ask), world.full(*ask), rtol=1e-5, atol=1e-5)


def test_many_threads_get_the_right_answers(twins, histories):
    world = World(twins, histories, max_len=40, clock="query")
    states = world.states(limit_mb=0.05)
    asks = [world.at(2 + number * 7 % 30) for number in range(200)]
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda ask: states.encode(*ask), asks))
    for ask, answer in zip(asks, answers, strict=True):
        np.testing.assert_allclose(answer, world.full(*ask), rtol=1e-5, atol=1e-5)
    assert states.size <= 50_000


def test_positions_from_the_end_can_not_be_kept(twins, histories):
    with pytest.raises(ConfigError, match=r"states: positions are counted from the end.*'relative'"):
        World(twins, histories, positions="end").states()
