"""Classes and ratings against scikit-learn."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from polyscene.core.errors import DataError
from polyscene.evaluate.pointwise import classifier, ratings, resampled_classifier

CHANCES = st.sampled_from([0.0, 0.1, 0.3, 0.5, 0.7, 1.0])


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1), CHANCES), min_size=2, max_size=12))
def test_classifier_equals_scikit_learn(rows):
    labels, chances = np.array(rows).T
    found = classifier(labels, chances)
    assert found["accuracy"] == pytest.approx(metrics.accuracy_score(labels, chances >= 0.5))
    assert found["log_loss"] == pytest.approx(
        metrics.log_loss(labels, np.clip(chances, 1e-15, 1 - 1e-15), labels=[0, 1])
    )
    if 0 < labels.sum() < len(labels):
        assert found["auc"] == pytest.approx(metrics.roc_auc_score(labels, chances))
    else:
        assert np.isnan(found["auc"])


def test_ratings_are_measured_in_their_unit():
    found = ratings(np.array([1.0, 5.0, 3.0]), np.array([2.0, 5.0, 1.0]))
    assert found == {"rmse": pytest.approx((5 / 3) ** 0.5), "mae": pytest.approx(1.0)}


@pytest.mark.parametrize(
    ("labels", "chances", "message"),
    [
        ([], [], "at least 1"),
        ([1], [0.5, 0.5], "1 true values and 2 predictions"),
        ([1, np.nan], [0.5, 0.5], "finite"),
        ([2], [0.5], "labels must be 0 or 1"),
        ([1], [1.5], r"chances in \[0, 1\]"),
    ],
)
def test_what_can_not_be_measured_is_refused(labels, chances, message):
    with pytest.raises(DataError, match=message):
        classifier(np.array(labels), np.array(chances))


def test_resampled_figures_are_those_of_the_drawn_rows():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 60).astype(np.float64)
    chances = np.round(np.clip(labels * 0.3 + rng.random(60) * 0.7, 0, 1), 1)
    found = resampled_classifier(labels, chances, seed=5, samples=20)
    again = np.random.default_rng(5)
    for at in range(20):
        rows = again.integers(0, 60, 60)
        plain = classifier(labels[rows], chances[rows])
        for name, value in plain.items():
            assert found[name][at] == pytest.approx(value)
