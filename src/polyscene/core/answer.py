"""How a model that scores everything answers as a stage."""

import numpy as np

from polyscene.core.contracts import ScoresAll
from polyscene.core.queries import Queries
from polyscene.core.slates import Slates, append, concat, mask_block, top

BLOCK_CELLS = 16_000_000
"""Scores held at once (64 MB of float32), so that memory stays bounded for any number of queries."""


def answer(part: ScoresAll, queries: Queries, slates: Slates) -> Slates:
    """`slates` with the part's best ``queries.wanted`` allowed items appended.

    Works in blocks of queries; ties go to the lower code.
    """
    step = max(1, BLOCK_CELLS // max(1, queries.allowed.size))
    found = []
    for start in range(0, len(queries), step):
        rows = np.arange(start, min(start + step, len(queries)))
        block = queries if len(rows) == len(queries) else queries.take(rows)
        scores_BI = mask_block(part.score_all(block), block)
        found.append(top(scores_BI, int(block.wanted.max(initial=0))).head(block.wanted))
    return append(slates, concat(found))
