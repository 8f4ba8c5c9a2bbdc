"""How often items meet in one history: the matrix that every linear item model is solved from.

Legend: B histories of a block, R item rows, U users.
"""

import numpy as np

from polyscene.core.arrays import Floats, RaggedTable
from polyscene.core.rows import Rows
from polyscene.dataset.matrix import interactions
from polyscene.nn.products import PANEL, product

GRAM_CELLS = 8_000_000
"""Cells of the dense user block that the matrix is summed from (32 MB)."""


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
