"""Counted facts beside a network's logits, as they answer; ``nn/evidence.py`` counts and weighs them.

Legend: B queries, R item rows, P popularities, F features (P, one a lag, the linear model), M cells.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from operator import matmul
from typing import Any

import numpy as np
from scipy import sparse

from polyscene.core.arrays import Array, Codes, Floats, RaggedTable, spans
from polyscene.lean.packing import narrow

SMOOTHING = 20.0
"""Prior events, spread by popularity, that every row of transitions starts from."""
CELLS = 20_000_000
"""Feature values made at once (80 MB)."""
USUAL_EVENTS = 55.0
"""Weights are those of a history of so many events, and move with the logarithm of its length over this."""
FEW = 8
"""Histories up to which a loop over them is quicker than one array of all their cells."""
THINNED = COLUMNS, VALUES = ":columns", ":values"
"""Ends of the names of the tensors of a linear model of which each row keeps its largest weights."""
Product = Callable[[Any, Floats], Floats]
"""A sparse matrix times a dense one."""


class Lag:
    """How much an item speaks for each other to come `lag` events later.

    That is the logarithm of the other's chance over its popularity share, up to a constant of the row.

    Shapes: `offsets` (R+1,), `columns` (M,) int32 rising within a row, `counts` (M,) float32; `prior` (R,)
    log popularity share.
    """

    def __init__(self, lag: int, offsets: Array, columns: Array, counts: Floats, prior: Floats) -> None:
        self.lag, self.offsets, self.columns, self.counts = lag, offsets, columns, counts
        self._values = np.log1p(counts / (SMOOTHING * np.exp(prior[columns]))).astype(np.float32)

    def add(self, table: RaggedTable, block: Array, gates_B: Floats, out_BR: Array) -> None:
        """Adds what the lag-newest event of each history says, times its gate."""
        places = table.offsets[1:][block] - self.lag
        some = np.flatnonzero(places >= table.offsets[:-1][block])
        source = table["row"][places[some]]
        if len(some) <= FEW:
            bounds = self.offsets[source].tolist(), self.offsets[source + 1].tolist()
            for row, first, stop in zip(some.tolist(), *bounds, strict=True):
                out_R = out_BR[row]
                out_R[self.columns[first:stop]] += gates_B[row] * self._values[first:stop]
            return
        lengths = self.offsets[source + 1] - self.offsets[source]
        cells, rows = spans(self.offsets[source], lengths), np.repeat(some, lengths)
        out_BR[rows, self.columns[cells]] += gates_B[rows] * self._values[cells]


@dataclass(frozen=True, slots=True)
class ThinLinear:
    """A linear model whose rows have K weights that are not zero.

    Shapes: `columns` (R, K) int32, `values` float32 likewise.
    """

    columns: Codes
    values: Floats

    @classmethod
    def of(cls, weights_RR: Floats, keep: int) -> "ThinLinear":
        """The `keep` weights of largest size of each row, or all if there are fewer."""
        count = min(keep, len(weights_RR))
        order_RR = np.argpartition(-np.abs(weights_RR), count - 1, axis=1)
        columns_RK = np.sort(order_RR[:, :count], axis=1)
        return cls(columns_RK.astype(np.int32), np.take_along_axis(weights_RR, columns_RK, 1))

    def sums(self, table: RaggedTable) -> Floats:
        """(B, R) the sum of the rows of each history's events."""
        sums_BR = np.empty((len(table), len(self.columns)), np.float32)
        for number, (start, stop) in enumerate(pairwise(table.offsets.tolist())):
            some = table["row"][start:stop]
            values, columns = self.values[some].ravel(), self.columns[some].ravel()
            # A cell that is named several times becomes their sum when the row is written out.
            row = sparse.csr_matrix((values, columns, [0, len(values)]), (1, len(self.columns)))
            sums_BR[number] = row.toarray()
        return sums_BR

    def tensors(self, name: str) -> dict[str, Array]:
        """What `load` needs, columns in the narrowest type that holds them."""
        return {f"{name}{COLUMNS}": narrow(self.columns), f"{name}{VALUES}": self.values}

    @classmethod
    def load(cls, tensors: Mapping[str, Array], name: str) -> "ThinLinear":
        """What `tensors` gave. Raises KeyError without one of the two."""
        return cls(tensors[f"{name}{COLUMNS}"].astype(np.int32), tensors[f"{name}{VALUES}"])


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was counted in the training events, and how much it weighs.

    Shapes: `popularity` (P, R) log shares of all events, then of recent ones; `ease` (R, R) weights of the
    linear model, maybe thinned, None without it; `weights` (2, F+1): of the logits (less 1) and
    of each feature, and how these move with the length.
    """

    popularity: Floats
    lags: tuple[Lag, ...]
    ease: Floats | ThinLinear | None
    weights: Floats

    def add(self, logits_BR: Floats, table: RaggedTable, product: Product = matmul) -> None:
        """Weighs the logits of histories that are not empty, and adds the evidence, in place."""
        popular = 1 + len(self.popularity)
        for block in self._blocks(table, 1):
            asked = table if len(block) == len(table) else table.take(block)
            gates_BF = self.gates(table.lengths[block])
            mixed_BR = logits_BR[block]
            mixed_BR *= 1 + gates_BF[:, :1]
            mixed_BR += gates_BF[:, 1:popular] @ self.popularity
            for number, lag in enumerate(self.lags, popular):
                lag.add(table, block, gates_BF[:, number], mixed_BR)
            if self.ease is not None:
                linear_BR = self._linear(asked, self.ease, product)
                linear_BR *= gates_BF[:, -1:]
                mixed_BR += linear_BR
            logits_BR[block] = mixed_BR

    def gates(self, lengths: Array) -> Floats:
        """(B, F+1) what the logits (less 1) and each feature weigh for histories of these lengths."""
        gates: Floats = self.weights[0] + self.weights[1] * moves(lengths)[:, None]
        return gates

    def reweighed(self, weights: Floats) -> "Evidence":
        """The same facts with other weights."""
        return replace(self, weights=weights)

    def features(self, table: RaggedTable, product: Product = matmul) -> Iterator[tuple[Array, Floats]]:
        """Numbers (b,) and features (b, F, R) of the histories that are not empty, a block at a time."""
        count, R = self.weights.shape[1] - 1, self.popularity.shape[1]
        popular = len(self.popularity)
        for block in self._blocks(table, count):
            features_BFR = np.zeros((len(block), count, R), np.float32)
            features_BFR[:, :popular] = self.popularity
            whole = np.ones(len(block), np.float32)
            for number, lag in enumerate(self.lags, popular):
                lag.add(table, block, whole, features_BFR[:, number])
            if self.ease is not None:
                features_BFR[:, -1] = self._linear(table.take(block), self.ease, product)
            yield block, features_BFR

    def _blocks(self, table: RaggedTable, count: int) -> Iterator[Array]:
        """Numbers of the histories that are not empty, so many that `count` values an item fit."""
        rest = np.flatnonzero(table.lengths)
        step = max(1, CELLS // max(1, count * self.popularity.shape[1]))
        for start in range(0, len(rest), step):
            yield rest[start : start + step]

    def _linear(self, table: RaggedTable, ease_RR: Floats | ThinLinear, product: Product) -> Floats:
        """(B, R) what the linear model makes of each history, of deviation 1."""
        if isinstance(ease_RR, ThinLinear):
            scores_BR = ease_RR.sums(table)
        else:
            scores_BR = product(seen(table, len(ease_RR)), ease_RR)
        spread_B1 = scores_BR.std(1, keepdims=True)
        scores_BR /= np.where(spread_B1 > 1e-6, spread_B1, 1)
        return scores_BR

    def tensors(self) -> dict[str, Array]:
        """Everything `load` needs, by name."""
        tensors: dict[str, Array] = {
            "evidence.popularity": self.popularity,
            "evidence.weights": self.weights,
        }
        for lag in self.lags:
            parts = {"offsets": lag.offsets, "columns": lag.columns, "counts": lag.counts}
            tensors |= {f"evidence.{lag.lag}.{name}": values for name, values in parts.items()}
        if isinstance(self.ease, ThinLinear):
            tensors |= self.ease.tensors("evidence.ease")
        elif self.ease is not None:
            tensors["evidence.ease"] = self.ease
        return tensors

    @classmethod
    def load(cls, tensors: Mapping[str, Array]) -> "Evidence | None":
        """What `tensors` gave; None where nothing was counted. Raises KeyError for a part of it."""
        if "evidence.popularity" not in tensors:
            return None
        popularity, lags = tensors["evidence.popularity"], list[Lag]()
        while f"evidence.{len(lags) + 1}.offsets" in tensors:
            name = f"evidence.{len(lags) + 1}"
            offsets, columns = tensors[f"{name}.offsets"], tensors[f"{name}.columns"]
            lags.append(Lag(len(lags) + 1, offsets, columns, tensors[f"{name}.counts"], popularity[0]))
        return cls(popularity, tuple(lags), _linear_model(tensors), tensors["evidence.weights"])


def _linear_model(tensors: Mapping[str, Array]) -> Floats | ThinLinear | None:
    """The weights as they are kept."""
    if f"evidence.ease{COLUMNS}" not in tensors:
        return tensors.get("evidence.ease")
    return ThinLinear.load(tensors, "evidence.ease")


def seen(table: RaggedTable, count: int) -> sparse.csr_matrix:
    """(B, R) how often each item stands in each history."""
    ones = np.ones(len(table["row"]), np.float32)
    return sparse.csr_matrix((ones, table["row"].astype(np.int32), table.offsets), (len(table), count))


def moves(lengths: Array) -> Floats:
    """(B,) how far a history's length is from the usual one, as a logarithm."""
    far: Floats = np.log(np.maximum(lengths, 1) / USUAL_EVENTS).astype(np.float32)
    return far
