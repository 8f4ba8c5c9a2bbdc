"""Item vectors as numbers of four bytes, of one, or as products of two thin matrices.

Legend: B queries, R rows, D width, K rank, N chosen rows.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from polyscene.core.arrays import Array, Floats
from polyscene.lean.packing import SCALE, parts_of, unpacked

BLOCK = 2048
"""Rows of one-byte vectors turned into floats at once: with D = 64 that is half a megabyte, which stays in
the cache until it is multiplied."""


SMALL = 1 << 20
"""Numbers of a table that is turned into floats once and for all: 4 MB, about what a core's cache holds."""


class Vectors(Protocol):
    """A vector of D numbers for each of R rows."""

    @property
    def shape(self) -> tuple[int, int]:
        """R and D."""
        ...

    def of(self, rows: Array) -> Floats:
        """(N, D) an array of its own."""
        ...

    def scores(self, queries_BD: Floats) -> Floats:
        """(B, R) inner products."""
        ...


@dataclass(frozen=True, slots=True)
class FloatVectors:
    """float32 numbers: four bytes each, and the quickest to multiply."""

    values: Floats

    @property
    def shape(self) -> tuple[int, int]:
        """See `Vectors.shape`."""
        rows, width = self.values.shape
        return rows, width

    def of(self, rows: Array) -> Floats:
        """See `Vectors.of`."""
        chosen_ND: Floats = self.values[rows]
        return chosen_ND

    def scores(self, queries_BD: Floats) -> Floats:
        """See `Vectors.scores`."""
        scores_BR: Floats = queries_BD @ self.values.T
        return scores_BR


@dataclass(frozen=True, slots=True)
class ByteVectors:
    """int8 numbers with a scale for each row: a quarter of the memory.

    Shapes: `codes` (R, D) int8, `scales` (R,) float32.
    """

    codes: NDArray[np.int8]
    scales: Floats

    @property
    def shape(self) -> tuple[int, int]:
        """See `Vectors.shape`."""
        rows, width = self.codes.shape
        return rows, width

    def of(self, rows: Array) -> Floats:
        """See `Vectors.of`."""
        chosen_ND: Floats = self.codes[rows] * self.scales[rows][:, None]
        return chosen_ND

    def scores(self, queries_BD: Floats) -> Floats:
        """See `Vectors.scores`: a block of rows at a time is turned into floats."""
        R, D = self.shape
        scores_BR = np.empty((len(queries_BD), R), np.float32)
        floats = np.empty((min(BLOCK, R), D), np.float32)
        for start in range(0, R, BLOCK):
            block = slice(start, min(start + BLOCK, R))
            some = floats[: block.stop - start]
            np.copyto(some, self.codes[block])
            scores_BR[:, block] = queries_BD @ some.T
        scores_BR *= self.scales
        return scores_BR


@dataclass(frozen=True, slots=True)
class LowRankVectors:
    """Products of two thin matrices: less memory, and fewer multiplications to score.

    Shapes: `left` (R, K), `right` (K, D).
    """

    left: Floats
    right: Floats

    @property
    def shape(self) -> tuple[int, int]:
        """See `Vectors.shape`."""
        return len(self.left), self.right.shape[1]

    def of(self, rows: Array) -> Floats:
        """See `Vectors.of`."""
        chosen_ND: Floats = self.left[rows] @ self.right
        return chosen_ND

    def scores(self, queries_BD: Floats) -> Floats:
        """See `Vectors.scores`."""
        folded_BK: Floats = queries_BD @ self.right.T
        scores_BR: Floats = folded_BK @ self.left.T
        return scores_BR


def vectors_of(tensors: Mapping[str, Array], name: str) -> Vectors:
    """The vectors under a name, as they are kept where that saves work or memory, else as floats.

    Raises:
        KeyError: They are missing.
    """
    parts = parts_of(tensors, name)
    if parts.keys() == {name, name + SCALE} and parts[name].size > SMALL:
        return ByteVectors(parts[name], parts[name + SCALE])
    parts = unpacked(parts, keep=(":left", ":right"))
    if f"{name}:left" in parts:
        return LowRankVectors(parts[f"{name}:left"], parts[f"{name}:right"])
    return FloatVectors(np.ascontiguousarray(parts[name], np.float32))
