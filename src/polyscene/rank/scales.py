"""Scores of different models brought to one scale, and put together there.

Legend: B queries, I item codes. -inf in a block of scores: the model can't score that item.
"""

from collections.abc import Iterable
from typing import Literal

import numpy as np

from polyscene.core.arrays import Floats, Scores

Scale = Literal["log_softmax", "z"]
"""``log_softmax``: log-probabilities, for scores that are logits. ``z``: standard deviations from the mean
of the query, for scores of any other sort. Both are taken over the items that the model scores."""


def on_scale(scores_BI: Scores, scale: Scale) -> Floats:
    """(B, I) the scores on the scale; -inf where they were."""
    return _log_softmax(scores_BI) if scale == "log_softmax" else _standard(scores_BI)


def _log_softmax(scores_BI: Scores) -> Floats:
    peak_B1 = scores_BI.max(axis=1, keepdims=True, initial=-np.inf)
    logits_BI = scores_BI - np.where(peak_B1 > -np.inf, peak_B1, 0)
    total_B1 = np.exp(logits_BI).sum(axis=1, keepdims=True)
    logs_BI: Floats = logits_BI - np.log(np.where(total_B1 > 0, total_B1, 1))
    return logs_BI


def _standard(scores_BI: Scores) -> Floats:
    scored_BI = scores_BI > -np.inf
    count_B1 = np.maximum(scored_BI.sum(axis=1, keepdims=True), 1)
    mean_B1 = scores_BI.sum(axis=1, keepdims=True, dtype=np.float64, where=scored_BI) / count_B1
    centred_BI: Floats = scores_BI - mean_B1.astype(np.float32)
    squares_BI = centred_BI * centred_BI
    squared_B1 = squares_BI.sum(axis=1, keepdims=True, dtype=np.float64, where=scored_BI)
    spread_B1: Floats = np.sqrt(squared_B1 / count_B1).astype(np.float32)
    spread_B1[spread_B1 <= 1e-9] = 1
    standard_BI: Floats = centred_BI / spread_B1
    return standard_BI


def weighted_sum(voices: Iterable[tuple[Scores, float | Floats]], shape: tuple[int, int]) -> Scores:
    """(B, I) sum of blocks on their scales, each times its weight, or (B, 1) weights; -inf where unscored.

    An item that one of them does not score gets that one's lowest score of the query, so that it is not
    preferred for being unknown; one that scores nothing for a query has no say there.
    """
    total_BI, known_BI = np.zeros(shape, np.float32), np.zeros(shape, bool)
    for scaled_BI, weight in voices:
        total_BI += with_floor(scaled_BI, 0.0) * np.asarray(weight, np.float32)
        known_BI |= scaled_BI > -np.inf
    total_BI[~known_BI] = -np.inf
    return total_BI


def mean_probability(voices: Iterable[Scores], shape: tuple[int, int]) -> Scores:
    """(B, I) log of the mean of probabilities, given as logs; -inf where none scores the item.

    An item that one of them does not score gets that one's lowest probability of the query; one that
    scores nothing for a query is left out of its mean.
    """
    total_BI, known_BI = np.full(shape, -np.inf, np.float32), np.zeros(shape, bool)
    count_B1 = np.zeros((shape[0], 1), np.float32)
    for logs_BI in voices:
        scored_BI = logs_BI > -np.inf
        total_BI = np.logaddexp(total_BI, with_floor(logs_BI, -np.inf))
        known_BI |= scored_BI
        count_B1 += scored_BI.any(axis=1, keepdims=True)
    mean_BI: Scores = total_BI - np.log(np.maximum(count_B1, 1))
    mean_BI[~known_BI] = -np.inf
    return mean_BI


def with_floor(scaled_BI: Scores, nothing: float) -> Floats:
    """(B, I) with each row's lowest score in place of -inf; `nothing` throughout a row that has none."""
    scored_BI = scaled_BI > -np.inf
    if scored_BI.all():
        return scaled_BI
    floor_B1 = scaled_BI.min(axis=1, keepdims=True, initial=np.inf, where=scored_BI)
    floor_B1 = np.where(floor_B1 < np.inf, floor_B1, np.float32(nothing))
    filled: Floats = np.where(scored_BI, scaled_BI, floor_B1)
    return filled
