"""Array words: what the names mean and the one ragged shape.

Legend for shapes: B queries, I item codes, N values in all, U users, G rule sets, K cut-off.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Bools = NDArray[np.bool_]
Codes = NDArray[np.int32]
"""Dense numbers of outside ids, owned by the workspace; -1 is an id never put or seen."""
Counts = NDArray[np.int32]
Floats = NDArray[np.float32]
Offsets = NDArray[np.int64]
Scores = NDArray[np.float32]
Seeds = NDArray[np.uint64]
Times = NDArray[np.int64]
"""UTC milliseconds since 1970; for data with order but no clock, the position in the order."""


def offsets_of(lengths: Array) -> Offsets:
    """Where each list starts and the last one ends: (B,) lengths -> (B+1,) offsets."""
    offsets = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return offsets


def spans(starts: Array, lengths: Array) -> NDArray[np.int64]:
    """Positions ``start .. start + length`` of every list, one after another: (sum of lengths,)."""
    offsets = offsets_of(lengths)
    return np.arange(offsets[-1]) + np.repeat(np.asarray(starts, np.int64) - offsets[:-1], lengths)


@dataclass(frozen=True, slots=True)
class Ragged:
    """B lists of unequal length as two arrays.

    Shapes: offsets (B+1,) int64, rising from 0; values (N,).
    """

    offsets: Offsets
    values: Array

    @classmethod
    def of(cls, lists: Iterable[Sequence[Any] | Array], dtype: Any = np.int32) -> "Ragged":
        """The same lists, packed."""
        parts = [np.asarray(part, dtype) for part in lists]
        values = np.concatenate(parts) if parts else np.zeros(0, dtype)
        return cls(offsets_of(np.array([len(part) for part in parts], np.int64)), values)

    @classmethod
    def empty(cls, count: int, dtype: Any = np.int32) -> "Ragged":
        """`count` empty lists."""
        return cls(np.zeros(count + 1, np.int64), np.zeros(0, dtype))

    @property
    def lengths(self) -> NDArray[np.int64]:
        """(B,) how long each list is."""
        return self.offsets[1:] - self.offsets[:-1]

    def rows(self) -> NDArray[np.int64]:
        """(N,) the list that each value belongs to."""
        return np.repeat(np.arange(len(self)), self.lengths)

    def take(self, rows: Array) -> "Ragged":
        """The chosen lists, in the order asked."""
        lengths = self.lengths[rows]
        return Ragged(offsets_of(lengths), self.values[spans(self.offsets[:-1][rows], lengths)])

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, row: int) -> Array:
        return self.values[self.offsets[row] : self.offsets[row + 1]]


@dataclass(frozen=True, slots=True)
class RaggedTable:
    """B lists of rows: one offsets array, equally long columns.

    Shapes: offsets (B+1,) int64; each column (N,).
    """

    offsets: Offsets
    columns: Mapping[str, Array]

    @property
    def lengths(self) -> NDArray[np.int64]:
        """(B,) how many rows each list has."""
        return self.offsets[1:] - self.offsets[:-1]

    def rows(self) -> NDArray[np.int64]:
        """(N,) the list that each row belongs to."""
        return np.repeat(np.arange(len(self)), self.lengths)

    def ragged(self, column: str) -> Ragged:
        """One column as ragged lists; nothing is copied."""
        return Ragged(self.offsets, self.columns[column])

    def take(self, rows: Array) -> "RaggedTable":
        """The chosen lists, in the order asked."""
        lengths = self.lengths[rows]
        return self._at(lengths, spans(self.offsets[:-1][rows], lengths))

    def tail(self, count: int) -> "RaggedTable":
        """The last `count` rows of every list (all of a shorter one)."""
        if self.lengths.max(initial=0) <= count:
            return self
        lengths = np.minimum(self.lengths, count)
        return self._at(lengths, spans(self.offsets[1:] - lengths, lengths))

    def where(self, keep: Bools) -> "RaggedTable":
        """Only the rows where `keep` (N,) holds; lists may become empty."""
        if keep.all():
            return self
        lengths = np.bincount(self.rows()[keep], minlength=len(self))
        return self._at(lengths, np.flatnonzero(keep))

    def _at(self, lengths: Array, positions: Array) -> "RaggedTable":
        return RaggedTable(
            offsets_of(lengths), {name: column[positions] for name, column in self.columns.items()}
        )

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, column: str) -> Array:
        return self.columns[column]


def distinct(rows: Array, values: Array, count: int) -> Ragged:
    """`count` lists of the distinct values per row, each sorted."""
    pairs = np.unique(np.stack([rows, values]).astype(np.int64), axis=1)
    lengths = np.bincount(pairs[0], minlength=count)
    return Ragged(offsets_of(lengths), pairs[1].astype(np.int32))
