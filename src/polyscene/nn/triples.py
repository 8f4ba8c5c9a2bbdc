"""A knowledge graph as rows: items first, then the entities near them.

Legend: E facts both ways, N entity rows (items above others), R item rows, P relations both ways.
"""

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from polyscene.core.arrays import Array, Bools
from polyscene.core.contracts import Edges
from polyscene.core.rows import Rows


@dataclass(frozen=True, slots=True)
class Triples:
    """Facts as rows, each also the other way round under a relation of its own.

    Shapes: `heads`, `relations`, `tails` (E,) int64; `entities` = N, `kinds` = P.
    """

    heads: Array
    relations: Array
    tails: Array
    entities: int
    kinds: int

    @classmethod
    def near(cls, items: Rows, edges: Edges | None, steps: int) -> "Triples":
        """The facts within `steps` of an item that has a row; what no item reaches is left out.

        An end whose id is an item's is that item, all others are known by their id alone.
        """
        if edges is None or not len(edges.source) or not len(items):
            empty = np.zeros(0, np.int64)
            return cls(empty, empty, empty, len(items), 0)
        ends_2E = _rows_of_ends(items, edges)
        near_E = _near(ends_2E, len(items), steps)
        # Renumbered, so that ids that no item reaches leave no trace.
        found, ends = np.unique(ends_2E[:, near_E], return_inverse=True)
        others = found >= len(items)
        row_of = np.where(others, len(items) + np.cumsum(others) - 1, found)
        source, target = row_of[ends.reshape(2, -1)]
        words, relation = np.unique(edges.relation[near_E].astype(str), return_inverse=True)
        return cls(
            heads=np.concatenate([source, target]),
            relations=np.concatenate([relation, relation + len(words)]),
            tails=np.concatenate([target, source]),
            entities=len(items) + int(others.sum()),
            kinds=2 * len(words),
        )


def _rows_of_ends(items: Rows, edges: Edges) -> Array:
    """(2, E) item rows, and beyond them a number for every other id."""
    ids = np.concatenate([edges.source, edges.target]).astype(str)
    rows = items.of(np.concatenate([edges.items[:, 0], edges.items[:, 1]])).astype(np.int64)
    other = rows < 0
    rows[other] = len(items) + np.unique(ids[other], return_inverse=True)[1]
    ends: Array = rows.reshape(2, -1)
    return ends


def _near(ends_2E: Array, items: int, steps: int) -> Bools:
    """(E,) whether an end is less than `steps` facts away from an item."""
    reached = np.arange(int(ends_2E.max()) + 1) < items
    near: Bools = np.zeros(ends_2E.shape[1], bool)
    for _ in range(steps):
        near = reached[ends_2E[0]] | reached[ends_2E[1]]
        reached[ends_2E[:, near]] = True
    return near


def choosing(rows_E: Array, count: int) -> sparse.csr_matrix:
    """(E, count) a single 1 a row: what picks `rows_E` out of so many."""
    size = len(rows_E)
    cells = np.ones(size, np.float32), rows_E, np.arange(size + 1)
    return sparse.csr_matrix(cells, shape=(size, count))
