"""How sure a figure is: bootstrap intervals over queries and paired comparisons."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from polyscene.core.arrays import Array

BLOCK_CELLS = 4_000_000
"""Resampled queries held at once (32 MB)."""

Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Comparison:
    """A paired difference of means, first minus second, its interval, and the two-sided p-value."""

    difference: float
    low: float
    high: float
    p: float


def intervals(
    per_query: Mapping[str, Array], *, seed: int = 0, samples: int = 1000, level: float = 0.95
) -> dict[str, tuple[float, float]]:
    """Percentile interval of each mean: name -> (low, high); NaN where no query can say.

    All metrics share the same resamples, so equal arrays get equal intervals. Cost: samples * B.

    Source: Efron, 1979, the percentile method; queries are drawn, not events.
    """
    names = list(per_query)
    if not names:
        return {}
    means_SM = resampled(np.stack([per_query[name] for name in names], axis=1), seed, samples)
    low, high = _quantiles(means_SM, level)
    return {name: (float(low[at]), float(high[at])) for at, name in enumerate(names)}


def compare(
    ours: Array, theirs: Array, *, seed: int = 0, samples: int = 1000, level: float = 0.95
) -> Comparison:
    """Is the mean of `ours` above that of `theirs` on the same queries? Pairs with a NaN are left out.

    The p-value is twice the smaller share of resamples on either side of 0, each counted with one more, so
    it is never 0.

    Source: paired bootstrap, Sakai, 2006; p-value after Davison and Hinkley, 1997.
    """
    gap = np.asarray(ours, np.float64) - np.asarray(theirs, np.float64)
    gap = gap[~np.isnan(gap)]
    if not len(gap):
        nothing = float("nan")
        return Comparison(nothing, nothing, nothing, 1.0)
    return compare_draws(float(gap.mean()), resampled(gap[:, None], seed, samples)[:, 0], level=level)


def compare_draws(difference: float, draws_S: Values, *, level: float = 0.95) -> Comparison:
    """A difference and what it was in each of S paired resamples as a comparison; see `compare`."""
    low, high = ends(draws_S, level=level)
    side = min((draws_S <= 0).sum(), (draws_S >= 0).sum())
    p = min(1.0, 2 * (float(side) + 1) / (len(draws_S) + 1))
    return Comparison(difference, low, high, p)


def ends(draws_S: Values, *, level: float = 0.95) -> tuple[float, float]:
    """The percentile interval of what S resamples gave; NaN where none can say."""
    low, high = _quantiles(draws_S[:, None], level)
    return float(low[0]), float(high[0])


def resampled(values_BM: Array, seed: int, samples: int) -> Values:
    """(S, M) means of `samples` draws of B queries with replacement; NaN cells stand in no mean."""
    count = len(values_BM)
    if not count:
        return np.full((samples, values_BM.shape[1]), np.nan)
    rng = np.random.default_rng(seed)
    known = ~np.isnan(values_BM)
    filled = np.where(known, values_BM, 0.0)
    whole = bool(known.all())
    means = []
    step = max(1, BLOCK_CELLS // count)
    for start in range(0, samples, step):
        here = min(step, samples - start)
        drawn = rng.integers(0, count, (here, count)) + np.arange(here)[:, None] * count
        times = np.bincount(drawn.ravel(), minlength=here * count).reshape(here, count).astype(np.float64)
        weight = float(count) if whole else times @ known
        with np.errstate(invalid="ignore"):
            means.append(times @ filled / weight)
    return np.concatenate(means)


def _quantiles(means_SM: Values, level: float) -> tuple[Values, Values]:
    """(M,) low and high ends; resamples that can't say are left out, NaN where none can."""
    ends = np.full((2, means_SM.shape[1]), np.nan)
    for at, column in enumerate(means_SM.T):
        known = column[~np.isnan(column)]
        if len(known):
            ends[:, at] = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
    return ends[0], ends[1]
