"""Metrics of single predictions: classes (accuracy, log loss, AUC) and ratings (RMSE, MAE)."""

import numpy as np

from polyscene.core.arrays import Array
from polyscene.core.errors import DataError
from polyscene.evaluate.intervals import Values


def classifier(labels: Array, chances: Array) -> dict[str, float]:
    """``accuracy``, ``log_loss`` and ``auc`` of predicted chances.

    Shapes: both (N,); `labels` 0 or 1, `chances` in [0, 1]. Accuracy cuts at 0.5, which counts as 1. Log
    loss is in nats, chances clipped to 1e-15 from the ends. AUC gives half a point for a tie, NaN when only
    one class is there.

    Raises:
        DataError: Unequal lengths, nothing to measure, or a value out of range.

    Source: log loss, Good, 1952; AUC, Mann and Whitney, 1947.
    """
    labels, chances = _pair(labels, chances)
    if not np.isin(labels, (0, 1)).all() or (chances < 0).any() or (chances > 1).any():
        raise DataError("classifier: labels must be 0 or 1 and chances in [0, 1]; check the label column")
    clipped = np.clip(chances, 1e-15, 1 - 1e-15)
    return {
        "accuracy": float(((chances >= 0.5) == labels).mean()),
        "log_loss": float(-np.where(labels == 1, np.log(clipped), np.log1p(-clipped)).mean()),
        "auc": _auc(labels == 1, chances),
    }


def ratings(values: Array, predictions: Array) -> dict[str, float]:
    """``rmse`` and ``mae`` of predicted ratings, in the unit of the ratings.

    Shapes: both (N,).

    Raises:
        DataError: Unequal lengths or nothing to measure.

    Source: Herlocker et al., 2004.
    """
    values, predictions = _pair(values, predictions)
    error = predictions - values
    return {"rmse": float(np.sqrt((error**2).mean())), "mae": float(np.abs(error).mean())}


def _pair(truth: Array, predicted: Array) -> tuple[Array, Array]:
    truth, predicted = np.asarray(truth, np.float64), np.asarray(predicted, np.float64)
    if truth.shape != predicted.shape or not len(truth):
        raise DataError(
            f"{len(truth)} true values and {len(predicted)} predictions: need equally many, at least 1"
        )
    if not (np.isfinite(truth).all() and np.isfinite(predicted).all()):
        raise DataError("true values and predictions must be finite; drop or mend rows with NaN first")
    return truth, predicted


def _auc(positive: Array, chances: Array) -> float:
    _, place, counts = np.unique(chances, return_inverse=True, return_counts=True)
    middle = np.cumsum(counts) - (counts - 1) / 2
    good = int(positive.sum())
    bad = len(positive) - good
    if not good or not bad:
        return float("nan")
    return float((middle[place][positive].sum() - good * (good + 1) / 2) / (good * bad))


def resampled_classifier(
    labels: Array, chances: Array, *, seed: int = 0, samples: int = 1000
) -> dict[str, Values]:
    """``accuracy``, ``log_loss`` and ``auc`` of `samples` draws of the rows with replacement: (S,) each.

    Equal seeds and row counts draw the same rows, so differences between models are paired. NaN where a
    draw has one class only. Cost: samples * N after one sort.

    Source: Efron, 1979; the plain twin is `classifier` on the drawn rows.
    """
    labels, chances = _pair(labels, chances)
    order = np.argsort(chances, kind="stable")
    positive, chances = labels[order] == 1, chances[order]
    clipped = np.clip(chances, 1e-15, 1 - 1e-15)
    losses = -np.where(positive, np.log(clipped), np.log1p(-clipped))
    hits = (chances >= 0.5) == positive
    starts = np.flatnonzero(np.append(True, np.diff(chances) > 0))
    rng, count = np.random.default_rng(seed), len(labels)
    found = np.empty((3, samples))
    place = np.empty(count, np.int64)
    place[order] = np.arange(count)
    for at in range(samples):
        times = np.bincount(place[rng.integers(0, count, count)], minlength=count).astype(np.float64)
        good = np.add.reduceat(times * positive, starts)
        bad = np.add.reduceat(times * ~positive, starts)
        pairs = good.sum() * bad.sum()
        below = np.cumsum(bad) - bad / 2
        auc = (good @ below) / pairs if pairs else np.nan
        found[:, at] = times @ hits / count, times @ losses / count, auc
    return dict(zip(("accuracy", "log_loss", "auc"), found, strict=True))
