"""Eligibility: kind, availability, the scenario's own rule and the request's filter, as masks."""

from collections.abc import Sequence

import numpy as np

from polyscene.core.arrays import Array, Bools
from polyscene.core.catalogue import Catalogue
from polyscene.core.queries import Eligible
from polyscene.rules.availability import Availability
from polyscene.rules.filter import mask, parse

KEPT = 64
"""Masks remembered per catalogue; the oldest makes room."""
_Key = tuple[str, str | None, int | None]
"""Filter text, region, spell of time."""


class Rules:
    """What one scenario may show; `availability` False shows sold-out and ended items too.

    Remembers the masks of the last catalogue it saw: a catalogue is a snapshot, so the same object
    means the same items, and a popular filter costs one look-up per request.
    """

    def __init__(
        self, kind: str | None = None, where: str | None = None, *, availability: bool = True
    ) -> None:
        self.kind = kind
        self.where = parse(where) if where else None
        self.availability = availability
        self._kept: tuple[Catalogue | None, Availability | None, dict[_Key, Bools]] = (None, None, {})

    def eligible(
        self,
        catalogue: Catalogue,
        filters: Sequence[str | None],
        *,
        at: Array | None = None,
        regions: Sequence[str | None] | None = None,
    ) -> Eligible:
        """What each of B requests may see; equal rules share a group.

        Args:
            catalogue: The items.
            filters: (B) texts in the filter language; None: no filter.
            at: (B,) UTC ms, for items with a window of time; None: windows are not looked at.
            regions: (B) for items with regions; None, for all or for one: regions are not looked at.

        Raises:
            FilterError: A filter can't be parsed or names an unknown attribute.
        """
        available, kept = self._known(catalogue)
        spells: list[int | None] = [None] * len(filters)
        if available is not None and at is not None:
            spells = available.spells(at).tolist()
        places = regions if regions is not None and available is not None else [None] * len(filters)
        keys: list[_Key] = [
            (text or "", place, spell) for text, place, spell in zip(filters, places, spells, strict=True)
        ]
        row = {key: number for number, key in enumerate(dict.fromkeys(keys))}
        masks = np.array([self._mask(key, catalogue, available, kept) for key in row], bool)
        return Eligible(
            masks.reshape(len(row), catalogue.size), np.array([row[key] for key in keys], np.int64)
        )

    def _known(self, catalogue: Catalogue) -> tuple[Availability | None, dict[_Key, Bools]]:
        seen, available, masks = self._kept
        if seen is not catalogue:
            available, masks = Availability(catalogue) if self.availability else None, {}
            self._kept = (catalogue, available, masks)
        return available, masks

    def _mask(
        self, key: _Key, catalogue: Catalogue, available: Availability | None, kept: dict[_Key, Bools]
    ) -> Bools:
        found = kept.get(key)
        if found is None:
            text, region, spell = key
            if text:
                found = self._mask(("", region, spell), catalogue, available, kept)
                found = found & mask(parse(text), catalogue)
            else:
                found = self._base(catalogue)
                if available is not None:
                    found &= available.mask(spell, region)
            if len(kept) >= KEPT:
                kept.pop(next(iter(kept)), None)
            kept[key] = found
        return found

    def _base(self, catalogue: Catalogue) -> Bools:
        allowed = catalogue.of_kind(self.kind)
        return allowed & mask(self.where, catalogue) if self.where else allowed
