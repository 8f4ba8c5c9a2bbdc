"""Which item of a history speaks most for a candidate."""

from collections.abc import Callable

import numpy as np

from polyscene.core.arrays import Array, Codes
from polyscene.core.queries import Queries
from polyscene.core.slates import Slates

Shares = Callable[[Codes, Codes], Array]
"""History codes (J,), oldest first, and candidate codes (C,) -> what each adds to each score, (J, C)."""


def strongest(queries: Queries, slates: Slates, shares: Shares) -> Codes:
    """(N,) the history item with the largest positive share in each candidate's score; -1 where none has.

    Of equal shares the newest item is named.
    """
    because: Codes = np.full(len(slates.items), -1, np.int32)
    histories = queries.history.ragged("item")
    for row in range(len(slates)):
        history = histories[row][::-1]
        candidates = slice(slates.offsets[row], slates.offsets[row + 1])
        if not len(history) or candidates.start == candidates.stop:
            continue
        share_JC = shares(history[::-1], slates.items[candidates])[::-1]
        best = share_JC.argmax(axis=0)
        positive = share_JC.max(axis=0) > 0
        because[candidates] = np.where(positive, history[best], np.int32(-1))
    return because
