"""A part's own rows for the workspace's codes."""

import numpy as np
from numpy.typing import NDArray

from polyscene.core.arrays import Array, Codes, Floats


class Rows:
    """Maps codes to the rows of a fitted part.

    A code that came after the fit, or -1, has row -1: no part needs a second path for new items.
    """

    __slots__ = ("_every", "_row_of", "_spread", "codes")

    def __init__(self, codes: Codes) -> None:
        self.codes = np.asarray(codes, np.int32)
        # The last place is that of every code beyond, and of -1.
        self._row_of = np.full(int(self.codes.max(initial=-1)) + 2, -1, np.int32)
        self._row_of[self.codes] = np.arange(len(self.codes), dtype=np.int32)
        self._every = np.array_equal(self.codes, np.arange(len(self.codes)))
        self._spread = np.zeros(0, np.int32), np.zeros(0, np.int64)

    def of(self, codes: Array) -> NDArray[np.int32]:
        """Rows of the given codes, same shape; -1 where this part has none."""
        rows: NDArray[np.int32] = self._row_of[np.minimum(codes, len(self._row_of) - 1)]
        return rows

    def spread(self, scores_BR: Array, width: int) -> NDArray[np.float32]:
        """Scores by row (B, R) as a block by code (B, width); -inf where this part has no row."""
        if len(self) == width and width and self._every:
            return np.ascontiguousarray(scores_BR, np.float32)
        if not len(self):
            return np.full((len(scores_BR), width), -np.inf, np.float32)
        rows, missing = self._spread
        if len(rows) != width:
            rows = self.of(np.arange(width))
            missing = np.flatnonzero(rows < 0)
            self._spread = rows, missing
        # Far quicker than assigning columns.
        block = np.take(np.asarray(scores_BR, np.float32), rows, axis=1)
        block[:, missing] = -np.inf
        return block

    def __len__(self) -> int:
        return len(self.codes)


def log_share(seen: Array, count: int) -> Floats:
    """(R,) log of each of `count` rows' share of the events `seen`, one event added to each."""
    counts = np.bincount(seen, minlength=count) + 1.0
    shares: Floats = np.log(counts / counts.sum()).astype(np.float32)
    return shares
