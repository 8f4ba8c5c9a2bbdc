"""The exact index: every allowed vector is looked at. The reference that faster ones are held to."""

from typing import Self

import numpy as np

from polyscene.core.answer import BLOCK_CELLS
from polyscene.core.arrays import Array, Bools, Codes, Floats, Ragged
from polyscene.core.queries import Eligible
from polyscene.core.rows import Rows
from polyscene.core.slates import Slates, concat, top

GATHER_BELOW = 0.3
"""Share of allowed items under which their vectors are copied out before the product: about where a
copy of the few costs less than a product with all."""


class Exact:
    """Brute force over all vectors. O(B · R · D) a search, less where the rules leave little."""

    def __init__(self, codes: Codes, vectors_RD: Floats) -> None:
        order = np.argsort(codes, kind="stable")
        self.rows = Rows(codes[order])
        self.vectors_RD = np.ascontiguousarray(vectors_RD[order], np.float32)

    def search(self, vectors_BD: Floats, k: int, allowed: Eligible, exclude: Ragged) -> Slates:
        """See `Index.search`; works in blocks of queries that share a rule set."""
        parts, asked = [Slates.empty(0)], [np.zeros(0, np.int64)]
        step = max(1, BLOCK_CELLS // max(1, len(self.rows)))
        for group in np.unique(allowed.groups):
            queries = np.flatnonzero(allowed.groups == group)
            few, vectors, open_R = self._allowed(allowed.masks[group])
            for start in range(0, len(queries), step):
                block = queries[start : start + step]
                scores = vectors_BD[block] @ vectors.T
                if open_R is not None:
                    scores[:, np.flatnonzero(~open_R)] = -np.inf  # a mask would take four times as long
                parts.append(_best(scores, few, exclude.take(block), k))
                asked.append(block)
        return concat(parts).take(np.argsort(np.concatenate(asked), kind="stable"))

    def _allowed(self, mask: Bools) -> tuple[Rows, Floats, Bools | None]:
        """Rows to score and their vectors; the mask is still to be laid over them unless it is None."""
        codes = self.rows.codes
        known = int(np.searchsorted(codes, len(mask)))
        if not len(codes) or (known == len(codes) and mask.all()):
            return self.rows, self.vectors_RD, None
        open_R = np.zeros(len(codes), bool)
        # Sorted codes that are as many as the last one says are all there: nothing to look up.
        every = known and codes[known - 1] == known - 1
        open_R[:known] = mask[:known] if every else mask.take(codes[:known])
        if open_R.mean() >= GATHER_BELOW:
            return self.rows, self.vectors_RD, open_R
        return Rows(codes[open_R]), self.vectors_RD[open_R], None

    def with_items(self, codes: Codes, vectors_ND: Floats) -> Self:
        """See `Index.with_items`; of a code given twice the last vector counts."""
        _, last = np.unique(codes[::-1], return_index=True)
        keep = len(codes) - 1 - last
        old = self.without(codes)
        return type(self)(
            np.concatenate([old.rows.codes, codes[keep]]).astype(np.int32),
            np.concatenate([old.vectors_RD.reshape(-1, vectors_ND.shape[1]), vectors_ND[keep]]),
        )

    def without(self, codes: Array) -> Self:
        """See `Index.without`."""
        keep = ~np.isin(self.rows.codes, codes)
        return type(self)(self.rows.codes[keep], self.vectors_RD[keep])


def _best(scores_BR: Floats, rows: Rows, exclude: Ragged, k: int) -> Slates:
    gone = rows.of(exclude.values)
    scores_BR[exclude.rows()[gone >= 0], gone[gone >= 0]] = -np.inf
    found = top(scores_BR, k)
    return Slates(found.offsets, rows.codes[found.items], found.scores)
