"""The approximate index: a clustered base that is never changed, and a small exact delta beside it."""

from dataclasses import dataclass, replace
from importlib import import_module
from typing import Any

import numpy as np

from polyscene.core.arrays import Array, Bools, Codes, Floats, Ragged
from polyscene.core.queries import Eligible
from polyscene.core.slates import Slates, concat
from polyscene.retrieve.exact import Exact

# Its own type stubs know less than the library does.
faiss: Any = import_module("faiss")

RECALL_FLOOR = 0.95
SAMPLE = 200
SAMPLE_K = 50
POINTS_PER_CELL = 39
"""faiss asks for at least this many vectors to place one centre."""


@dataclass(frozen=True, slots=True)
class Ann:
    """An inverted-file index over the base, exact search over what came later.

    Filters are pushed down: cells are searched among allowed codes only. `recall` is what a sample of
    the base's own vectors measured at build against `Exact`, by `build`; where no number of probed
    cells reaches the floor, `cells` is None and the base is searched exactly.

    Shapes: `gone` (R,) rows of the base that were removed or replaced.

    Source: Jégou, Douze and Schmid, Product Quantization for Nearest Neighbor Search, 2011 (the
    inverted file; the vectors are kept whole), through faiss.
    """

    base: Exact
    delta: Exact
    gone: Bools
    cells: Any
    probes: int
    recall: float

    @classmethod
    def build(cls, codes: Codes, vectors_RD: Floats, *, seed: int = 0) -> "Ann":
        """Clusters the vectors and probes as few cells as reach the recall floor."""
        base = Exact(codes, vectors_RD)
        exact = cls(base, _none(vectors_RD), np.zeros(len(codes), bool), None, 0, 1.0)
        count = int(min(4 * np.sqrt(len(codes)), len(codes) // POINTS_PER_CELL))
        if count < 4:
            return exact
        cells = _cluster(base.vectors_RD, count, seed)
        probes = 1
        while probes <= count // 2:
            tried = replace(exact, cells=cells, probes=probes)
            recall = _measure(tried, seed)
            if recall >= RECALL_FLOOR:
                return replace(tried, recall=recall)
            probes *= 2
        return exact

    def search(self, vectors_BD: Floats, k: int, allowed: Eligible, exclude: Ragged) -> Slates:
        """See `Index.search`; a query can miss items that lie in cells it does not probe."""
        if self.cells is None:
            kept = self.base.without(self.base.rows.codes[self.gone]) if self.gone.any() else self.base
            found = kept.search(vectors_BD, k, allowed, exclude)
        else:
            found = self._probe(vectors_BD, k, allowed, exclude)
        if len(self.delta.rows):
            later = self.delta.search(vectors_BD, k, allowed, exclude)
            found = _side_by_side(found, later).ordered().head(k)
        return found

    def with_items(self, codes: Codes, vectors_ND: Floats) -> "Ann":
        """See `Index.with_items`; they join the delta."""
        return replace(self.without(codes), delta=self.delta.with_items(codes, vectors_ND))

    def without(self, codes: Array) -> "Ann":
        """See `Index.without`; the base only marks them."""
        gone = self.gone | np.isin(self.base.rows.codes, codes)
        return replace(self, gone=gone, delta=self.delta.without(codes))

    def _probe(self, vectors_BD: Floats, k: int, allowed: Eligible, exclude: Ragged) -> Slates:
        codes = self.base.rows.codes
        # Excluded items may fill the first places, so that many more are asked for.
        depth = min(len(codes), k + int(exclude.lengths.max(initial=0)))
        scores = np.full((len(vectors_BD), depth), -np.inf, np.float32)
        rows = np.full((len(vectors_BD), depth), -1, np.int64)
        for group in np.unique(allowed.groups):
            mask = allowed.masks[group]
            inside = codes < len(mask)
            let_in = ~self.gone & inside & mask[np.where(inside, codes, 0)]
            bits = np.packbits(let_in, bitorder="little")
            chosen = faiss.IDSelectorBitmap(bits)
            how = faiss.SearchParametersIVF(sel=chosen, nprobe=self.probes)
            asked = allowed.groups == group
            scores[asked], rows[asked] = self.cells.search(
                np.ascontiguousarray(vectors_BD[asked], np.float32), depth, params=how
            )
        keep = rows >= 0
        found = Slates(
            np.concatenate([[0], np.cumsum(keep.sum(1))]), codes[rows[keep]], scores[keep]
        ).ordered()
        return _outside(found, exclude).head(k)


def _none(vectors_RD: Floats) -> Exact:
    return Exact(np.zeros(0, np.int32), np.zeros((0, vectors_RD.shape[1]), np.float32))


def _cluster(vectors_RD: Floats, count: int, seed: int) -> Any:
    quantizer = faiss.IndexFlatIP(vectors_RD.shape[1])
    cells = faiss.IndexIVFFlat(quantizer, vectors_RD.shape[1], count, faiss.METRIC_INNER_PRODUCT)
    cells.own_fields = True
    quantizer.this.disown()
    cells.cp.seed = seed % (1 << 31)
    cells.train(vectors_RD)
    cells.add(vectors_RD)
    return cells


def _side_by_side(first: Slates, second: Slates) -> Slates:
    """The candidates of both; no item stands in both."""
    both = concat([first, second])
    count = len(first)
    rows = both.rows() % count if count else both.rows()
    order = np.argsort(rows, kind="stable")
    return both.at(order, np.bincount(rows, minlength=count))


def _outside(slates: Slates, exclude: Ragged) -> Slates:
    """Without the excluded items."""
    width = int(max(slates.items.max(initial=0), exclude.values.max(initial=0))) + 1
    banned = exclude.rows() * width + exclude.values
    return slates.where(~np.isin(slates.rows() * width + slates.items, banned[exclude.values >= 0]))


def _measure(index: Ann, seed: int) -> float:
    """Share of the exact nearest that the index finds, with a sample of its base as queries."""
    base = index.base
    sample = np.random.default_rng(seed).permutation(len(base.rows))[:SAMPLE]
    vectors = base.vectors_RD[sample]
    width = int(base.rows.codes.max()) + 1
    about = Eligible.all(len(sample), width), Ragged.empty(len(sample))
    truth = base.search(vectors, SAMPLE_K, *about)
    found = index.search(vectors, SAMPLE_K, *about)
    hits = np.isin(truth.rows() * width + truth.items, found.rows() * width + found.items)
    return float(hits.mean())
