from dataclasses import replace

import numpy as np
import pytest

from polyscene.core.config import fill
from polyscene.core.contracts import Run, State
from polyscene.core.errors import BundleError, ConfigError
from polyscene.core.queries import Queries, history_of
from polyscene.models.hstu import Hstu
from polyscene.testing import worlds

HOUR_MS, DAY_MS = 3_600_000, 86_400_000


def small(**settings):
    plain = {"dim": 16, "layers": 1, "epochs": 40, "max_len": 8, "batch_size": 64, "dropout": 0.0}
    return fill(Hstu, {**plain, "learning_rate": 0.02, **settings}, "hstu")


@pytest.fixture(scope="module")
def waits():
    """After items 3 and 0 comes 1 within the minute, 2 after a day: only the time of asking tells which.

    One event alone would not do: a norm follows attention, so that only shares between events count.
    """
    lists, times = [], []
    for user in range(40):
        late = user % 2
        now = HOUR_MS + user * 1000
        lists.append([3, 0, 1 + late])
        times.append([now - HOUR_MS, now, now + (DAY_MS if late else 20_000)])
    plain = worlds.chain(size=4).data
    return replace(plain, histories=history_of(lists, times), users=np.arange(40, dtype=np.int32))


def asked(*gaps_ms):
    count = len(gaps_ms)
    queries = Queries.of_histories(history_of([[3, 0]] * count, [[5_000, 5_000 + HOUR_MS]] * count), 4)
    return replace(queries, at=5_000 + HOUR_MS + np.array(gaps_ms, np.int64))


def test_the_time_of_the_question_decides(waits):
    part = small(epochs=150).fit(waits, Run(seed=1))
    assert part.score_all(asked(20_000, DAY_MS)).argmax(1).tolist() == [1, 2]
    again = small(epochs=150).load(part.state(), Run())
    np.testing.assert_array_equal(again.score_all(asked(20_000)), part.score_all(asked(20_000)))


@pytest.mark.parametrize("clock", ["last", "order"])
def test_without_the_clock_it_does_not(waits, clock):
    part = small(clock=clock, epochs=2).fit(waits, Run())
    soon, late = part.score_all(asked(20_000, DAY_MS))
    np.testing.assert_array_equal(soon, late)


def test_data_without_a_clock_is_read_by_order_and_says_so(waits):
    run = Run()
    part = small(epochs=1).fit(replace(waits, clock=False), run)
    assert run.warnings[0] == "hstu: the data has order but no times, so the clock is 'order'"
    loaded = small().load(part.state(), Run())
    soon, late = loaded.score_all(asked(20_000, DAY_MS))
    np.testing.assert_array_equal(soon, late)


def test_a_bundle_of_another_clock_is_refused(waits):
    state = small(epochs=1).fit(waits, Run()).state()
    with pytest.raises(
        BundleError, match="the bundle's clock is 'query', the config's 'last'; fit it again"
    ):
        small(clock="last").load(State(state.tensors, state.meta), Run())


def test_scores_are_cosines_over_the_temperature(waits):
    part = small(epochs=1, temperature=0.5).fit(waits, Run())
    np.testing.assert_allclose(np.linalg.norm(part.item_vectors()[1], axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(part.query_vectors(asked(0)), axis=1), 2, rtol=1e-5)
    plain = small(epochs=1, temperature=0.0).fit(waits, Run())
    assert not np.allclose(np.linalg.norm(plain.item_vectors()[1], axis=1), 1)


def test_heads_must_divide_dim():
    with pytest.raises(ConfigError, match="dim 64 can't be cut into 3 heads; choose a multiple"):
        Hstu(heads=3)
