"""SLIM: each item is rebuilt from few others, by an elastic net with weights that are never negative.

Legend: R item rows of the part, N items rebuilt together, W places of a working set.
"""

from typing import Annotated

import numpy as np
from msgspec import Meta
from scipy import sparse
from threadpoolctl import threadpool_limits

from polyscene.core.arrays import Array, Floats
from polyscene.core.config import Config
from polyscene.core.contracts import Data, Run, State
from polyscene.core.rows import Rows
from polyscene.nn.gram import gram
from polyscene.nn.item_weights import ItemWeights
from polyscene.nn.products import product

TOGETHER = 256
"""Items rebuilt together; those of like popularity need about equally many others."""
TOLERANCE = 1e-4
"""Solved when no weight alone would move by more than this; weights are between 0 and about 1."""
ENTRANTS = 32
"""Others that may join an item's working set at once, or as many as it has if these are more."""
SWEEPS = 4
"""Passes of coordinate descent over a working set around its exact solution."""
BATCH_CELLS = 4_000_000
"""Cells of the small systems solved together (16 MB)."""


class Slim(Config, frozen=True, kw_only=True, tag="slim"):
    """Sparse item-item weights >= 0 that best rebuild every history from its other items.

    Minimises, item by item, half the squared error + ``l1 * sum(w) + l2 / 2 * sum(w ** 2)``: `l1` makes
    weights few, `l2` shares them among like items. Exact to 1e-4 a weight, or as far as `epochs` rounds
    lead, and then a warning says so. While fitting, 4 bytes a pair of items are needed; of more than
    `max_items` the most touched get weights. Items without a weight from the history are left unscored.

    Source: Ning and Karypis (2011). Solved by coordinate descent (Friedman et al. 2010) on working sets
    that grow where a weight would move, sped up by the exact solution on the weights above 0.
    """

    l1: Annotated[float, Meta(ge=0)] = 10.0
    l2: Annotated[float, Meta(gt=0)] = 100.0
    max_items: Annotated[int, Meta(gt=0)] = 20_000
    epochs: Annotated[int, Meta(ge=1)] = 30

    def fit(self, data: Data, run: Run, warm: ItemWeights | None = None) -> ItemWeights:
        """Solves for the weights; a warning tells when they had not settled."""
        touched, counts = np.unique(data.histories["item"], return_counts=True)
        if len(touched) > self.max_items:
            most = np.argsort(-counts, kind="stable")[: self.max_items]
            run.warnings.append(
                f"slim: of {len(touched)} items touched, the {self.max_items} most touched have weights; "
                "raise max_items for more (4 bytes a pair), or use bm25_knn for all"
            )
            touched = touched[np.sort(most)]
        rows = Rows(touched)
        with threadpool_limits(1, "blas"):
            return ItemWeights(rows, self._solve(gram(data.histories, rows), run))

    def load(self, state: State, run: Run) -> ItemWeights:
        """The weights as they were saved."""
        return ItemWeights.load(state)

    def _solve(self, gram_RR: Floats, run: Run) -> sparse.csr_matrix:
        """(R, R) weights of a history's item (row) in a candidate (column)."""
        order, found, furthest = np.argsort(gram_RR.diagonal(), kind="stable"), [], 0.0
        with run.progress("slim", max(1, len(order))) as bar:
            for start in range(0, len(order), TOGETHER):
                items = order[start : start + TOGETHER]
                problem = _Problem(gram_RR, items, np.float32(self.l1), np.float32(self.l2))
                furthest = max(furthest, problem.solve(self.epochs))
                found.append(sparse.csr_matrix(problem.weights_NR))
                bar.advance(len(items))
        if furthest > TOLERANCE:
            run.warnings.append(
                f"stopped before it converged: a weight of slim would still move by {furthest:.1g}; "
                "raise epochs"
            )
        if not found:
            return sparse.csr_matrix(gram_RR.shape, dtype=np.float32)
        return sparse.vstack(found).tocsr()[np.argsort(order)].T.tocsr()


class _Problem:
    """The elastic nets of some items: ``weights_NR[n]`` are what item ``items[n]`` is rebuilt with."""

    def __init__(self, gram_RR: Floats, items: Array, l1: np.float32, l2: np.float32) -> None:
        self.gram_RR, self.items, self.l1, self.l2 = gram_RR, items, l1, l2
        self.weights_NR = np.zeros((len(items), len(gram_RR)), np.float32)

    def solve(self, epochs: int) -> float:
        """How far the weight that is furthest from settled would still move."""
        unsettled = np.arange(len(self.items))
        for epoch in range(epochs + 1):
            moves_NR = self._moves(unsettled)
            furthest_N = np.abs(moves_NR).max(axis=1)
            keep = furthest_N > TOLERANCE
            unsettled = unsettled[keep]
            if not len(unsettled) or epoch == epochs:
                break
            self._improve(unsettled, moves_NR[keep])
        return float(furthest_N.max())

    def _moves(self, places: Array) -> Floats:
        """(N, R) how far each weight would move if it alone could."""
        weights_NR, items = self.weights_NR[places], self.items[places]
        size_R = self.gram_RR.diagonal()
        best_NR = self.gram_RR[items] - product(sparse.csr_matrix(weights_NR), self.gram_RR) - self.l1
        best_NR += size_R * weights_NR
        np.maximum(best_NR, 0, out=best_NR)
        best_NR /= size_R + self.l2
        best_NR[np.arange(len(items)), items] = 0
        best_NR -= weights_NR
        return best_NR

    def _improve(self, places: Array, moves_NR: Floats) -> None:
        """Better weights on the working sets: those above 0 and those that would move up most."""
        held_NR = self.weights_NR[places] > 0
        held_N = held_NR.sum(axis=1)
        joining_N = np.minimum(((moves_NR > 0) & ~held_NR).sum(axis=1), np.maximum(held_N, ENTRANTS))
        sizes_N, width = held_N + joining_N, int((held_N + joining_N).max())
        moves_NR[held_NR] = np.inf
        sets_NW = np.argsort(-moves_NR, axis=1, kind="stable")[:, :width]
        real_NW = np.arange(width) < sizes_N[:, None]
        for part in np.array_split(np.arange(len(places)), -(-len(places) * width**2 // BATCH_CELLS)):
            self._settle(places[part], sets_NW[part], real_NW[part])

    def _settle(self, places: Array, sets_NW: Array, real_NW: Array) -> None:
        items, rows = self.items[places, None], places[:, None]
        system_NWW = self.gram_RR[sets_NW[:, :, None], sets_NW[:, None, :]]
        diagonal = np.arange(sets_NW.shape[1])
        system_NWW[:, diagonal, diagonal] += self.l2
        pull_NW = np.where(real_NW, self.gram_RR[sets_NW, items] - self.l1, np.float32(-np.inf))
        weights_NW = self.weights_NR[rows, sets_NW]
        _sweep(weights_NW, system_NWW, pull_NW)
        weights_NW = _exact(weights_NW, system_NWW, pull_NW)
        _sweep(weights_NW, system_NWW, pull_NW)
        self.weights_NR[rows, sets_NW] = weights_NW


def _sweep(weights_NW: Floats, system_NWW: Floats, pull_NW: Floats) -> None:
    """Sets each weight in turn to its best given the others, `SWEEPS` times; a pull of -inf keeps it 0."""
    rest_NW = pull_NW - np.matmul(system_NWW, weights_NW[:, :, None])[:, :, 0]
    for place in [*range(weights_NW.shape[1])] * SWEEPS:
        size_N = system_NWW[:, place, place]
        best_N = np.maximum(weights_NW[:, place] + rest_NW[:, place] / size_N, 0)
        move_N = best_N - weights_NW[:, place]
        weights_NW[:, place] = best_N
        rest_NW -= system_NWW[:, place] * move_N[:, None]


def _exact(weights_NW: Floats, system_NWW: Floats, pull_NW: Floats) -> Floats:
    """The best weights on those above 0, cut at 0 or approached as far as all stay above; never worse."""
    above_NW = weights_NW > 0
    diagonal = np.arange(above_NW.shape[1])
    held_NWW = system_NWW * (above_NW[:, :, None] & above_NW[:, None, :])
    held_NWW[:, diagonal, diagonal] = system_NWW[:, diagonal, diagonal]
    pull_NW = np.where(above_NW, pull_NW, 0)
    free_NW = np.linalg.solve(held_NWW, pull_NW[:, :, None])[:, :, 0]
    room_NW = np.divide(weights_NW, weights_NW - free_NW, out=np.ones_like(free_NW), where=free_NW < 0)
    inside_NW = np.maximum(weights_NW + room_NW.min(axis=1)[:, None] * (free_NW - weights_NW), 0)
    clipped_NW = np.maximum(free_NW, 0)
    better_N = _loss(clipped_NW, held_NWW, pull_NW) < _loss(inside_NW, held_NWW, pull_NW)
    best_NW: Floats = np.where(better_N[:, None], clipped_NW, inside_NW)
    return best_NW


def _loss(weights_NW: Floats, system_NWW: Floats, pull_NW: Floats) -> Array:
    """(N,) half the quadratic form less the pull."""
    felt_NW = np.matmul(system_NWW, weights_NW[:, :, None])[:, :, 0]
    loss: Array = np.einsum("nw,nw->n", weights_NW, felt_NW / 2 - pull_NW)
    return loss
