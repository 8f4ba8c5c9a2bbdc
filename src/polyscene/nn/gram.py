"""How often items meet in one history: what linear item models are solved from, and the solution of EASE.

Legend: B histories of a block, R item rows, U users.
"""

import numpy as np
from scipy import linalg
from threadpoolctl import threadpool_limits

from polyscene.core.arrays import Floats, RaggedTable
from polyscene.core.rows import Rows
from polyscene.dataset.matrix import interactions
from polyscene.nn.products import PANEL, product

GRAM_CELLS = 8_000_000
"""Cells of the dense user block that the matrix is summed from (32 MB)."""
STEEP = 1e4
"""Bound on the condition number above which float32 is not trusted with the inverse."""
WIDE = 8192
"""Items from which the inverse takes all cores; below, two threads on busy cores cost ten times one."""


def gram(histories: RaggedTable, rows: Rows, weights_U: Floats | None = None) -> Floats:
    """(R, R) float32, symmetric: how many histories hold both items, each counted with its weight if given.

    An item that a history holds twice counts once. On the diagonal stands each item's own count.
    """
    gram_RR = np.zeros((len(rows), len(rows)), np.float32)
    step = max(1, GRAM_CELLS // max(1, len(rows)))
    for start in range(0, len(histories), step):
        users = np.arange(start, min(start + step, len(histories)))
        block_BR = interactions(histories.take(users), rows)
        items_RB, dense_BR = block_BR.T.tocsr(), block_BR.toarray()
        if weights_U is not None:
            dense_BR *= weights_U[users, None]
        for left in range(0, len(rows), PANEL):
            gram_RR[left:, left : left + PANEL] += product(
                items_RB[left:], dense_BR[:, left : left + PANEL]
            )
    for left in range(0, len(rows), PANEL):
        panel = slice(left, left + PANEL)
        gram_RR[panel, left + PANEL :] = gram_RR[left + PANEL :, panel].T
    return gram_RR


def ease_weights(gram_RR: Floats, l2: float) -> Floats:
    """(R, R) least squares under a zero diagonal: -P[j, i] / P[i, i] with P = (gram + l2)^-1.

    Rows contiguous. `gram_RR` is overwritten.

    Source: Steck, "Embarrassingly Shallow Autoencoders for Sparse Data" (2019).
    """
    if not len(gram_RR):
        return gram_RR
    diagonal = np.diag_indices_from(gram_RR)
    steepness = 1.0 + float(gram_RR[diagonal].sum(dtype=np.float64)) / l2
    matrix = gram_RR if steepness < STEEP else gram_RR.astype(np.float64)
    matrix[diagonal] += l2
    with threadpool_limits(1 if len(matrix) < WIDE else None, "blas"):
        inverse = linalg.inv(matrix, assume_a="pos", lower=True, overwrite_a=True, check_finite=False)
    inverse /= -inverse[diagonal]
    inverse[diagonal] = 0.0
    # LAPACK gives columns; a sparse product wants rows, and would copy the whole square at every call.
    return np.ascontiguousarray(inverse, np.float32)
