from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from polyscene.core.contracts import Run
from polyscene.core.queries import Queries, history_of
from polyscene.core.slates import Slates
from polyscene.models.covisit import Covisit
from polyscene.testing.worlds import noise


def naive(config, data, history):
    """Scores by item, from loops over every pair of every history."""
    items = data.histories.ragged("item")
    pairs, touched = Counter(), Counter(data.histories["item"].tolist())
    for row in range(len(items)):
        codes = items[row].tolist()
        for at, first in enumerate(codes):
            for distance, second in enumerate(codes[at + 1 : at + 1 + config.window]):
                pairs[first, second] += config.window_decay**distance
                if config.direction == "both":
                    pairs[second, first] += config.window_decay**distance
    recent = history[: len(history) - config.skip][-config.last :]
    weights = [config.decay**age for age in range(len(recent))][::-1]
    known = [(code, weight) for code, weight in zip(recent, weights, strict=True) if code in touched]
    total = sum(weight for _, weight in known)
    scores = {}
    for item, count in touched.items():
        share = count / touched.total()
        lifts = [
            weight / total * np.log1p(pairs[code, item] / config.smoothing / share)
            for code, weight in known
        ]
        scores[item] = np.log(share) + sum(lifts)
    return scores


@pytest.mark.parametrize(
    "config",
    [
        Covisit(),
        Covisit(window=1, last=1),
        Covisit(window=1, last=1, skip=1),
        Covisit(window=3, window_decay=0.7, last=2, decay=0.3, skip=1, smoothing=2.0, direction="both"),
    ],
)
def test_equals_counting_by_hand(config):
    data = noise()
    part = config.fit(data, Run())
    lists = [[4, 2, 9], [1, 1, 29, -1, 3], [], [29, 400]]
    block = part.score_all(Queries.of_histories(history_of(lists), data.size))
    for row, history in enumerate(lists):
        expected = naive(config, data, history)
        np.testing.assert_allclose(
            block[row, list(expected)], list(expected.values()), rtol=1e-4, atol=1e-5
        )
        assert np.isneginf(np.delete(block[row], list(expected))).all(), (
            "what nobody touched is left unscored"
        )


def test_one_step_back_is_the_markov_chain_with_ties_to_popularity():
    histories = history_of([[0, 1], [0, 1], [0, 2], [3, 4], [3, 4], [3, 3]])
    data = replace(noise(0, 5), users=np.arange(6, dtype=np.int32), histories=histories)
    part = Covisit(window=1, last=1, smoothing=0.5).fit(data, Run())
    queries = Queries.of_histories(history_of([[4, 0]]), 5)
    assert part(queries, Slates.empty(1)).items[:3].tolist() == [1, 2, 3]


def test_the_most_lifting_recent_item_explains():
    histories = history_of([[0, 1], [0, 1], [2, 3], [2, 3], [4, 0, 2]])
    data = replace(noise(0, 5), users=np.arange(5, dtype=np.int32), histories=histories)
    part = Covisit(last=2).fit(data, Run())
    queries = Queries.of_histories(history_of([[4, 0, 2]]), 5)
    slates = Slates(np.array([0, 3]), np.array([1, 3, 4], np.int32), np.zeros(3, np.float32))
    assert part.because(queries, slates).tolist() == [0, 2, -1]
    older = Covisit(last=1, skip=1).fit(data, Run())
    assert older.because(queries, slates).tolist() == [0, -1, -1]
