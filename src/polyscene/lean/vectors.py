"""Item vectors as numbers of four bytes or of one, and weights likewise.

Legend: B queries, R rows, D width, N chosen rows.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from polyscene.core.arrays import Array, Floats

SCALE = ":scale"
"""Ends the name of the tensor that has the scales of another one's rows."""
LARGE = ("items", ".weight", "evidence.ease")
"""Ends of the names of the tensors that are nearly all of a model."""
BLOCK = 2048
"""Rows of one-byte vectors turned into floats at once: with D = 64 that is half a megabyte, which stays in
the cache until it is multiplied."""


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


def packed(tensors: Mapping[str, Array]) -> dict[str, Array]:
    """The same tensors, matrices of floats as int8 with a scale for each row beside them.

    Only what is large: the item vectors, the weights of products, and the linear model of the evidence.
    """
    made: dict[str, Array] = {}
    for name, values in tensors.items():
        if values.dtype == np.float32 and values.ndim == 2 and name.endswith(LARGE):
            scales = np.abs(values).max(1) / np.float32(127)
            made[name] = np.rint(values / np.maximum(scales, 1e-30)[:, None]).astype(np.int8)
            made[name + SCALE] = scales
        else:
            made[name] = values
    return made


def unpacked(tensors: Mapping[str, Array]) -> dict[str, Array]:
    """Tensors of floats from what `packed` gave, or from plain ones."""
    return {
        name: values * tensors[name + SCALE][:, None] if name + SCALE in tensors else values
        for name, values in tensors.items()
        if not name.endswith(SCALE)
    }


def vectors_of(tensors: Mapping[str, Array], name: str) -> Vectors:
    """The vectors under a name, as they are kept. Raises KeyError when they are missing."""
    if name + SCALE in tensors:
        return ByteVectors(tensors[name], tensors[name + SCALE])
    return FloatVectors(np.ascontiguousarray(tensors[name], np.float32))
