"""The conditional logit: what makes the right candidate of a list the most likely one."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from polyscene.core.arrays import Array, Floats


def conditional_logit(
    values_NF: Floats,
    labels: Floats,
    offsets: Array,
    *,
    l2: float,
    steps: int,
    stands_for: Array | float = 1.0,
) -> NDArray[np.float64]:
    """Weights (F,) that make the labelled candidates of each list most likely, by L-BFGS.

    `labels` (N,) are at least 0, some of each list above it; lists begin at `offsets` (B + 1,). Values
    should be of one size, for `l2` is the same for all. A candidate drawn by chance may count for all that
    it `stands_for` (N,).

    Source: McFadden, Conditional Logit Analysis, 1974 (the listwise softmax of Cao et al., 2007).
    """
    starts, rows = offsets[:-1], np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    share = labels / np.add.reduceat(labels, starts)[rows]
    count, many = len(starts), np.log(stands_for)

    def loss(weights: Array) -> tuple[float, Array]:
        scores = values_NF @ weights.astype(np.float32) + many
        scores = (scores - np.maximum.reduceat(scores, starts)[rows]).astype(np.float64)
        odds = np.exp(scores)
        total = np.add.reduceat(odds, starts)
        value = -(share @ (scores - np.log(total)[rows])) / count + l2 * weights @ weights
        slope = (odds / total[rows] - share).astype(np.float32) @ values_NF / count + 2 * l2 * weights
        return float(value), slope.astype(np.float64)

    first = np.zeros(values_NF.shape[1])
    found: Any = minimize(loss, first, jac=True, method="L-BFGS-B", options={"maxiter": steps})
    weights: NDArray[np.float64] = found.x
    return weights
