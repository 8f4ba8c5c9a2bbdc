import numpy as np
import pytest

from polyscene.core.contracts import Run
from polyscene.core.queries import Queries, history_of
from polyscene.models import slim
from polyscene.models.slim import Slim
from polyscene.testing.worlds import noise

from .test_ease import seen_matrix


def naive(seen, l1, l2):
    """(R, R) the elastic net of each column, one coordinate after the other until nothing moves."""
    gram = seen.T @ seen
    weights = np.zeros_like(gram)
    for item in range(len(gram)):
        column = weights[:, item]
        for _ in range(150):
            for other in range(len(gram)):
                rest = gram[other, item] - gram[other] @ column + gram[other, other] * column[other]
                column[other] = 0 if other == item else max(rest - l1, 0) / (gram[other, other] + l2)
    return weights


@pytest.mark.parametrize(("l1", "l2"), [(0.5, 1.0), (0.0, 0.3), (1.5, 0.01)])
@pytest.mark.parametrize(("together", "entrants", "cells"), [(256, 32, 4_000_000), (5, 2, 100)])
def test_equals_the_plain_form_in_batches_of_any_size(l1, l2, together, entrants, cells, monkeypatch):
    monkeypatch.setattr(slim, "TOGETHER", together)
    monkeypatch.setattr(slim, "ENTRANTS", entrants)
    monkeypatch.setattr(slim, "BATCH_CELLS", cells)
    data, run = noise(), Run()
    part = Slim(l1=l1, l2=l2).fit(data, run)
    expected = expected_of(l1, l2)
    np.testing.assert_allclose(part.weights.toarray(), expected, atol=5e-4)
    assert (part.weights.data > 0).all()
    assert not run.warnings


_KNOWN = {}


def expected_of(l1, l2):
    """The plain form takes a second: each once."""
    if (l1, l2) not in _KNOWN:
        _KNOWN[l1, l2] = naive(seen_matrix(noise())[:, :28], l1, l2)
    return _KNOWN[l1, l2]


def test_a_fit_that_was_cut_short_says_so():
    run = Run()
    Slim(l1=0.1, l2=0.1, epochs=1).fit(noise(), run)
    assert "stopped before it converged" in run.warnings[0]
    assert "raise epochs" in run.warnings[0]


def test_of_too_many_items_the_most_touched_have_weights_and_the_fit_says_so():
    data, run = noise(), Run()
    part = Slim(l1=0.5, l2=1.0, max_items=10).fit(data, run)
    counts = np.bincount(data.histories["item"])
    assert len(part.rows) == 10
    assert counts[part.rows.codes].min() >= np.delete(counts, part.rows.codes).max()
    assert "of 28 items touched, the 10 most touched" in run.warnings[0]


def test_scores_are_sums_of_weights_from_the_history():
    data = noise()
    part = Slim(l1=0.5, l2=1.0).fit(data, Run())
    block = part.score_all(Queries.of_histories(history_of([[3, 5, 3], []]), data.size))[:, part.rows.codes]
    sums = part.weights.toarray()[part.rows.of(np.array([3, 5]))].sum(0)
    np.testing.assert_allclose(block[0][sums > 0], sums[sums > 0], rtol=1e-5)
    assert np.isneginf(block[0][sums == 0]).all()
    assert np.isneginf(block[1]).all(), "nothing is known of an empty history"
