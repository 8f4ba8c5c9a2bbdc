from dataclasses import replace

import numpy as np

from polyscene.core.clock import DAY_MS
from polyscene.core.contracts import Run
from polyscene.core.queries import Queries, history_of
from polyscene.models.recent_popular import RecentPopular
from polyscene.testing.worlds import START_MS, noise


def at(moments, size):
    queries = Queries.of_histories(history_of([[]] * len(moments)), size)
    return replace(queries, at=np.array(moments, np.int64))


def test_every_query_sees_the_decayed_counts_of_its_time():
    data = noise()
    times, items = data.histories["time"], data.histories["item"]
    moments = [
        data.at,
        START_MS + 30 * DAY_MS,
        int(np.median(times)),
        START_MS,
        data.at,
        data.at + 9_999 * DAY_MS,
    ]
    block = RecentPopular(half_life_days=10.0).fit(data, Run()).score_all(at(moments, data.size))
    for row, moment in enumerate(moments):
        before = times < moment
        newest = times[before].max(initial=0)
        weights = 0.5 ** ((newest - times[before]) / DAY_MS / 10.0)
        expected = np.bincount(items[before], weights, data.size)
        np.testing.assert_allclose(block[row], expected, rtol=1e-5)
    assert not block[3].any(), "before the first event nothing is popular"


def test_without_a_clock_age_is_the_share_of_later_events():
    histories = history_of([[0, 1, 2, 2]], [[0, 5, 6, 6]])
    data = replace(noise(1, 3), users=np.zeros(1, np.int32), histories=histories, clock=False)
    part = RecentPopular(half_life_share=0.25).fit(data, Run())
    block = part.score_all(at([0, 7], 3))
    np.testing.assert_allclose(block, [[0.125, 0.25, 2.0]] * 2)


def test_a_smaller_catalogue_than_at_the_fit_is_survived():
    data = noise()
    part = RecentPopular().fit(data, Run())
    np.testing.assert_array_equal(
        part.score_all(at([data.at, START_MS + DAY_MS], 3)),
        part.score_all(at([data.at, START_MS + DAY_MS], data.size))[:, :3],
    )
