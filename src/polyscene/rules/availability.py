"""Availability: which items may be shown at a time, in a region, while there is stock."""

import numpy as np
from numpy.typing import NDArray

from polyscene.core.arrays import Array, Bools, Ragged
from polyscene.core.catalogue import Catalogue, Column
from polyscene.core.clock import parse_time
from polyscene.core.errors import InputError

FROM, UNTIL, REGIONS, STOCK = "available_from", "available_until", "regions", "stock"
"""The item attributes that have a meaning here; an item without them is always available.

`available_from` and `available_until`: UTC ms or ISO 8601, shown at ``from <= time < until``; a text that
is no time counts as none. `regions`: where it may be shown; looked at only when the ask names a region.
`stock`: not shown at 0 and below.
"""


class Availability:
    """What one catalogue says of it, read once. I items, B queries.

    Time is cut into spells at the edges of all windows: within one spell nothing opens or closes, so
    masks can be kept by spell.
    """

    def __init__(self, catalogue: Catalogue) -> None:
        columns = catalogue.columns
        self._size = catalogue.size
        self._from = _times(columns.get(FROM))
        self._until = _times(columns.get(UNTIL))
        self._stocked = _stocked(columns.get(STOCK))
        self._regions = columns.get(REGIONS)
        ends = [each[~np.isnan(each)] for each in (self._from, self._until) if each is not None]
        self._edges: NDArray[np.float64] = np.unique(np.concatenate(ends)) if ends else np.zeros(0)

    def spells(self, at: Array) -> NDArray[np.int64]:
        """(B,) the spell that each time (UTC ms) lies in."""
        return np.searchsorted(self._edges, at, side="right")

    def mask(self, spell: int | None, region: str | None) -> Bools:
        """(I,) what is available in a spell (None: at some time) and a region (None: somewhere)."""
        found = np.ones(self._size, bool)
        if self._stocked is not None:
            found &= self._stocked
        if spell is not None:
            # The last edge that the spell has behind it; before the first one nothing has begun.
            now = self._edges[spell - 1] if spell else -np.inf
            if self._from is not None:
                found &= ~(self._from > now)
            if self._until is not None:
                found &= ~(self._until <= now)
        if region is not None and self._regions is not None:
            found &= _in_region(self._regions, region)
        return found


def _times(column: Column | None) -> NDArray[np.float64] | None:
    """(I,) UTC ms, NaN where an item has none; None where no item has any."""
    if column is None or isinstance(column.values, Ragged):
        return None
    if column.type == "number":
        return column.values
    if column.type == "category":
        known = np.array([*map(_time, column.vocabulary), np.nan])
        times: NDArray[np.float64] = known[column.values]
        return times
    return np.array([_time(text) for text in column.values], np.float64)


def _time(text: str) -> float:
    try:
        return float(parse_time(text)) if text else np.nan
    except InputError:
        return np.nan


def _stocked(column: Column | None) -> Bools | None:
    """(I,) False where the stock is told and used up."""
    if column is None or column.type != "number":
        return None
    none_left: Bools = np.asarray(column.values) <= 0
    return ~none_left


def _in_region(column: Column, region: str) -> Bools:
    """(I,) True where no region is told, or this one is among them."""
    place = column.vocabulary.index(region) if region in column.vocabulary else -2
    if isinstance(column.values, Ragged):
        rows = column.values.rows()[column.values.values == place]
        found: Bools = column.values.lengths == 0
        found[rows] = True
        return found
    if column.type == "category":
        told: Bools = (column.values == -1) | (column.values == place)
        return told
    return np.ones(len(column.values), bool)
