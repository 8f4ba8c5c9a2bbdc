import numpy as np
import pytest
import torch

from polyscene.core.arrays import Ragged
from polyscene.nn.evidence import SMOOTHING, Clues, Counted, Evidence, Lag, ease_weights, gram, running_sums
from polyscene.nn.losses import full_softmax

LISTS = [[0, 1, 2, 3], [1, 2, 0], [3, 1, 2], [2, 3, 0, 1], [0, 2]]
COUNT = 5


def sequences(lists=LISTS):
    return Ragged.of(lists, np.int64)


def counts(lists, lag):
    table = np.zeros((COUNT, COUNT))
    for each in lists:
        for source, target in zip(each, each[lag:], strict=False):
            table[source, target] += 1
    return table


def everywhere(lists=LISTS):
    """Every place that has a next event: places, where its history begins, users, targets."""
    items = sequences(lists)
    places = np.concatenate(
        [np.arange(start, stop - 1) for start, stop in zip(items.offsets, items.offsets[1:])]
    )
    users = items.rows()[places]
    return places, items.offsets[users], users, items.values[places + 1]


def naive(evidence, lists=LISTS, folds=None):
    """(N, F, R) features by their definition, own events left out."""
    places, firsts, users, targets = everywhere(lists)
    values, features = sequences(lists).values, []
    for place, first, user, target in zip(places, firsts, users, targets, strict=True):
        rows = [evidence.prior]
        for lag in evidence.lags:
            table = counts(lists, lag.lag)
            source = place - lag.lag + 1
            row = np.zeros(COUNT)
            if source >= first:
                row = table[values[source]].copy()
                row[target] = max(row[target] - 1, 0)
            rows.append(np.log1p(row / (SMOOTHING * np.exp(evidence.prior))))
        if folds is not None:
            fold = folds.weights.numpy().reshape(-1, COUNT, COUNT)[folds.fold_U[user]]
            score = fold[values[first : place + 1]].sum(0)
            rows.append(score / score.std())
        features.append(rows)
    return np.array(features, np.float32)


@pytest.mark.parametrize("laid_out", [False, True])
@pytest.mark.parametrize("step", [1, 3, 100])
def test_loss_and_gradients_equal_those_of_features_written_out(laid_out, step, monkeypatch):
    monkeypatch.setattr("polyscene.nn.losses.CHUNK_CELLS", step * COUNT)
    monkeypatch.setattr("polyscene.nn.losses.LEAST_CHUNK", 1)
    evidence, folds = Counted(lags=2, ease_l2=2.0, folds=2).of(sequences(), COUNT)
    places, firsts, users, targets = everywhere()
    chance = torch.Generator().manual_seed(0)
    shapes = (len(places), 3), (COUNT, 3), (len(places), evidence.features)
    ours = [torch.randn(shape, generator=chance).requires_grad_() for shape in shapes]
    twin = [each.detach().clone().requires_grad_() for each in ours]
    rows, goal = sequences().values, torch.from_numpy(targets)
    if laid_out:
        for lag in evidence.lags:
            lag.lay_out()
    sums = running_sums(folds, rows, places, firsts, users)
    clues = Clues.of(evidence, rows, places, firsts, goal, sums)
    loss = full_softmax(ours[0], ours[1], goal, None, ours[2], clues)
    features = torch.from_numpy(naive(evidence, folds=folds))
    logits = twin[0] @ twin[1].T + (twin[2][:, :, None] * features).sum(1)
    plain = torch.nn.functional.cross_entropy(logits, goal)
    torch.testing.assert_close(loss, plain)
    loss.backward()
    plain.backward()
    for mine, other in zip(ours, twin, strict=True):
        torch.testing.assert_close(mine.grad, other.grad, atol=1e-5, rtol=1e-4)


def test_a_window_that_begins_late_still_sums_what_came_before():
    evidence, folds = Counted(lags=1, ease_l2=2.0, folds=2).of(sequences(), COUNT)
    places, firsts, users, targets = everywhere()
    rows = sequences().values
    late = places > firsts
    assert 0 < late.sum() < len(late)
    outs = []
    for some in (np.ones(len(places), bool), late):
        sums = running_sums(folds, rows, places[some], firsts[some], users[some])
        clues = Clues.of(evidence, rows, places[some], firsts[some], torch.from_numpy(targets[some]), sums)
        out = torch.empty(int(some.sum()), COUNT)
        clues.reading(100).fill(0, torch.ones(len(out), evidence.features), out)
        outs.append(out)
    torch.testing.assert_close(outs[0][torch.from_numpy(late)], outs[1])


def test_what_is_to_be_predicted_is_not_counted_for_itself():
    evidence, _ = Counted(lags=1, ease_items=0).of(sequences(), COUNT)
    lag = evidence.lags[0]
    said = lag.without_own(np.array([0, 0, 4, -1]), np.array([1, 2, 0, 1]))
    worth = np.log1p(np.array([counts(LISTS, 1)[0, 1] - 1]) / (SMOOTHING * np.exp(evidence.prior[1])))
    np.testing.assert_allclose(said, [worth[0], 0, 0, 0], rtol=1e-6)


def test_a_fold_knows_nothing_of_its_own_users():
    other = [[4, 3, 4], *LISTS[1:]]
    mine, changed = (Counted(folds=5, ease_l2=2.0).of(sequences(each), COUNT)[1] for each in (LISTS, other))
    block = slice(0, COUNT)
    np.testing.assert_array_equal(mine.weights[block], changed.weights[block])
    assert not np.array_equal(mine.weights[COUNT:], changed.weights[COUNT:])


def test_no_linear_model_above_the_bound():
    evidence, folds = Counted(ease_items=COUNT - 1).of(sequences(), COUNT)
    assert evidence.ease is None
    assert folds is None
    assert evidence.features == 4


def test_evidence_comes_back_as_it_was_saved():
    evidence, _ = Counted(lags=2, ease_l2=2.0, folds=2).of(sequences(), COUNT)
    again = Evidence.load(evidence.tensors())
    assert again is not None
    assert again.tensors().keys() == evidence.tensors().keys()
    for name, values in evidence.tensors().items():
        np.testing.assert_array_equal(again.tensors()[name], values)
    assert Evidence.load({}) is None


def test_rows_laid_out_equal_rows_built():
    lag = Lag.of(sequences(), 1, np.log(np.full(COUNT, 0.2, np.float32)))
    sources, built, read = torch.tensor([3, -1, 0, 4]), torch.empty(4, COUNT), torch.empty(4, COUNT)
    lag.fill(sources, built)
    lag.lay_out()
    lag.fill(sources, read)
    torch.testing.assert_close(built, read)
    assert built.any()
    assert not built[1].any()


def test_linear_weights_solve_their_least_squares():
    grams, l2 = gram(sequences(), COUNT), 2.0
    weights = ease_weights(grams, l2)
    slope = grams @ weights + l2 * weights - grams
    np.testing.assert_array_equal(np.diag(weights), np.zeros(COUNT))
    np.testing.assert_allclose(slope - np.diag(np.diag(slope)), np.zeros((COUNT, COUNT)), atol=1e-5)
