"""Behaviour vectors: items that stand near each other in histories get near vectors.

Legend: R item rows, V dimensions of a vector.
"""

import numpy as np
from scipy import sparse

from polyscene.core.arrays import Floats, Ragged

POWER_STEPS = 6
"""Multiplications of the random start; more of them sharpen the weakest dimensions."""


def behaviour_vectors(histories: Ragged, count: int, *, dim: int, window: int, seed: int) -> Floats:
    """(count, V) float32, V at most `dim`: factors of who stands within `window` places of whom.

    `histories` holds item rows below `count`; neighbours at distance g weigh 1 / g. Rows of zeros for items
    without neighbours.

    Source: PPMI with context shares to the power 0.75 and symmetric factors (Levy, Goldberg and Dagan
    2015); randomised subspace iteration (Halko, Martinsson and Tropp 2011).
    """
    if not count:
        return np.zeros((0, 0), np.float32)
    ppmi = _ppmi(_near(histories, count, window))
    dim = min(dim, count)
    rng = np.random.default_rng(seed)
    basis = rng.standard_normal((count, min(dim + 10, count)))
    for _ in range(POWER_STEPS):
        basis = np.linalg.qr(ppmi @ basis)[0]
    values, turn = np.linalg.eigh(basis.T @ (ppmi @ basis))
    strongest = np.argsort(-values, kind="stable")[:dim]
    strengths = np.sqrt(np.maximum(values[strongest], 0))
    vectors: Floats = (basis @ turn[:, strongest] * strengths).astype(np.float32)
    return vectors


def _near(histories: Ragged, count: int, window: int) -> sparse.csr_matrix:
    """(R, R) symmetric: how often, and how near, two different items stand to each other."""
    seen, owner = histories.values.astype(np.int64), histories.rows()
    near: sparse.csr_matrix = sparse.csr_matrix((count, count))
    for gap in range(1, window + 1):
        same = (owner[gap:] == owner[:-gap]) & (seen[gap:] != seen[:-gap])
        pair = seen[:-gap][same], seen[gap:][same]
        near += sparse.csr_matrix((np.full(same.sum(), 1 / gap), pair), shape=near.shape)
    return (near + near.T).tocsr()


def _ppmi(near: sparse.csr_matrix) -> sparse.csr_matrix:
    """Positive pointwise mutual information, contexts smoothed, made symmetric."""
    cells = near.tocoo()
    total = np.asarray(near.sum(axis=1)).ravel()
    smooth = total**0.75
    share = total / max(total.sum(), 1e-12)
    context = smooth / max(smooth.sum(), 1e-12)
    chance = share[cells.row] * context[cells.col]
    values = np.log(np.maximum(cells.data / max(total.sum(), 1e-12) / chance, 1.0))
    ppmi = sparse.csr_matrix((values, (cells.row, cells.col)), shape=near.shape)
    return (ppmi + ppmi.T) / 2
