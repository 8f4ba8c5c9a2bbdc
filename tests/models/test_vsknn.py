from dataclasses import replace

import numpy as np
import pytest

from polyscene.core.config import fill
from polyscene.core.contracts import Run
from polyscene.core.queries import Queries, history_of
from polyscene.models.vsknn import Vsknn
from polyscene.testing import worlds

HOUR_MS = 3_600_000


def knn(**settings):
    return fill(Vsknn, settings, "vsknn")


def plain_scores(config, sessions, history, size):
    """The algorithm as its authors write it, session by session: the slow, obvious twin.

    `sessions` stand newest first.
    """
    falls = {
        "same": lambda age: 1.0,
        "div": lambda age: 1 / age,
        "quadratic": lambda age: 1 / age**2,
        "log": lambda age: 1 / np.log10(age + 1.7),
    }
    read = list(dict.fromkeys(reversed([item for item in history if item >= 0])))[: config.last]
    share = {"div": 1, "quadratic": 2}
    weights = {}
    for age, item in enumerate(read, 1):
        by_share = ((len(read) - age + 1) / len(read)) ** share.get(config.weights, 0)
        weights[item] = by_share if config.weights in share else falls[config.weights](age)
    alike = []
    for place, session in enumerate(sessions):
        likeness = sum(weight for item, weight in weights.items() if item in session)
        if likeness:
            alike.append((-np.float32(likeness), place, session))
    scores = np.full(size, -np.inf)
    for likeness, _, session in sorted(alike)[: config.neighbours]:
        newest = next(age for age, item in enumerate(read, 1) if item in session)
        for item in set(session):
            scores[item] = max(scores[item], 0) - likeness * falls[config.decay](newest)
    for item in range(size):
        held = sum(item in session for session in sessions)
        if held:
            scores[item] *= 1 + config.rarity * np.log(len(sessions) / held)
    return scores


@pytest.mark.parametrize("weights", ["same", "div", "quadratic", "log"])
@pytest.mark.parametrize("decay", ["same", "div", "quadratic", "log"])
def test_it_equals_the_slow_twin(weights, decay):
    rng = np.random.default_rng(1)
    lists = [rng.integers(0, 15, rng.integers(1, 9)).tolist() for _ in range(40)]
    data = replace(
        worlds.chain(size=15).data,
        histories=history_of(lists),
        users=np.arange(40, dtype=np.int32),
        clock=False,
    )
    config = knn(weights=weights, decay=decay, neighbours=7, last=4, rarity=0.5, longest=9)
    part = config.fit(data, Run())
    # Times are positions, so a session that ends later in its list is newer.
    newest_first = sorted(range(40), key=lambda at: -len(lists[at]))
    sessions = [lists[at] for at in newest_first]
    asked = [rng.integers(-1, 15, length).tolist() for length in (1, 2, 3, 6, 9, 0)]
    found = part.score_all(Queries.of_histories(history_of(asked), 15))
    for row, history in enumerate(asked):
        np.testing.assert_allclose(
            found[row], plain_scores(config, sessions, history, 15), rtol=1e-5, atol=1e-6
        )


def test_a_pause_ends_a_session():
    lists = [[0, 1, 2, 3]] * 3
    times = [[0, HOUR_MS, 3 * HOUR_MS, 4 * HOUR_MS]] * 3
    data = replace(
        worlds.chain(size=4).data, histories=history_of(lists, times), users=np.arange(3, dtype=np.int32)
    )
    queries = Queries.of_histories(history_of([[0]]), 4)
    apart = knn(pause_days=1.5 / 24).fit(data, Run()).score_all(queries)
    assert np.isfinite(apart[0]).tolist() == [True, True, False, False]
    whole = knn(pause_days=1.0).fit(data, Run()).score_all(queries)
    assert np.isfinite(whole).all()
    untimed = knn(pause_days=1.5 / 24).fit(replace(data, clock=False), Run()).score_all(queries)
    assert np.isfinite(untimed).all()


def test_long_sessions_are_cut():
    data = replace(
        worlds.chain(size=6).data, histories=history_of([[0, 1, 2, 3, 4, 5]]), users=np.zeros(1, np.int32)
    )
    part = knn(longest=4).fit(data, Run())
    scores = part.score_all(Queries.of_histories(history_of([[0], [5]]), 6))
    assert np.isfinite(scores).astype(int).tolist() == [[1, 1, 1, 1, 0, 0], [0, 0, 0, 0, 1, 1]]
