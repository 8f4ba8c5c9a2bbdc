import numpy as np

from polyscene.core.arrays import Ragged
from polyscene.core.queries import history_of
from polyscene.core.rows import Rows
from polyscene.lean.evidence import SMOOTHING, USUAL_EVENTS, Evidence
from polyscene.lean.reading import Reading
from polyscene.nn.evidence import Counted

HISTORIES = [[0, 1, 2, 0, 1], [3, 2], [], [4, 0, 1]]


def counted(**settings):
    made = Counted(lags=2, **settings).of(Ragged.of(HISTORIES), 6)
    weights = np.random.default_rng(0).normal(size=made.weights.shape).astype(np.float32)
    return Evidence.load({**made.tensors(), "evidence.weights": weights})


def test_it_adds_what_its_definition_says():
    evidence = counted()
    table = Reading(10, 1, 1, np.zeros(1, np.float32), "order").table(
        history_of(HISTORIES), Rows(np.arange(6))
    )
    logits = np.random.default_rng(1).normal(size=(4, 6)).astype(np.float32)
    expected = logits.copy()
    for row, history in enumerate(HISTORIES):
        if not history:
            continue
        w = evidence.weights[0] + evidence.weights[1] * np.log(len(history) / USUAL_EVENTS)
        ease = evidence.ease[history].sum(0)
        expected[row] = logits[row] * (1 + w[0]) + w[1] * evidence.popularity[0] + w[4] * ease / ease.std()
        for lag in (1, 2):
            for other in range(6 if len(history) >= lag else 0):
                pairs = [(a, b) for one in HISTORIES for a, b in zip(one, one[lag:], strict=False)]
                times = pairs.count((history[-lag], other))
                expected[row, other] += w[1 + lag] * np.log1p(
                    times / SMOOTHING / np.exp(evidence.popularity[0][other])
                )
    evidence.add(logits, table)
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-4)


def test_it_survives_its_tensors_and_may_have_no_linear_model():
    evidence = counted(ease_items=0)
    assert evidence.ease is None
    again = Evidence.load(evidence.tensors())
    assert again.tensors().keys() == evidence.tensors().keys()
    assert Evidence.load({}) is None
