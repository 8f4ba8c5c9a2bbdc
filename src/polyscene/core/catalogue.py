"""Items, or users, as of a time, as arrays that can be read without a table library."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from polyscene.core.arrays import Array, Bools, Codes, Ragged, Times

ColumnType = Literal["number", "category", "tags", "text"]


@dataclass(frozen=True, slots=True)
class Column:
    """One attribute of every item, or of every user.

    Shapes, by type: ``number`` values (I,) float64, NaN where missing; ``category`` values (I,) int32
    into `vocabulary`, -1 where missing; ``tags`` values a `Ragged` of int32 into `vocabulary`;
    ``text`` values (I,) object, ``""`` where missing.
    """

    type: ColumnType
    values: Array | Ragged
    vocabulary: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Catalogue:
    """What is known of each code at one time; of users it is the columns that count.

    Shapes: I = number of codes given out so far. `put_at` (I,) UTC ms: when the item was first put or
    seen. `active` (I,): False for codes that stand for deleted items. `kinds` (I,) int16 into `kind_names`.
    """

    put_at: Times
    active: Bools
    kinds: Array
    kind_names: tuple[str, ...] = ("item",)
    columns: Mapping[str, Column] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Number of item codes given out so far (I)."""
        return len(self.put_at)

    @classmethod
    def bare(cls, size: int) -> "Catalogue":
        """`size` items about which nothing is known but that they exist."""
        return cls(np.zeros(size, np.int64), np.ones(size, bool), np.zeros(size, np.int16))

    def of_kind(self, kind: str | None) -> Bools:
        """(I,) active items of one kind; of every kind when it is None."""
        if kind is None:
            return self.active.copy()
        if kind not in self.kind_names:
            return np.zeros(self.size, bool)
        mask: Bools = self.active & (self.kinds == self.kind_names.index(kind))
        return mask

    def codes(self) -> Codes:
        """(n,) the active item codes, rising."""
        return np.flatnonzero(self.active).astype(np.int32)
