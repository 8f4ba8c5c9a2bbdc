"""Eligibility: kind, the scenario's own rule, the request's filter and availability, as masks."""

from collections.abc import Sequence

import numpy as np

from polyscene.core.arrays import Bools
from polyscene.core.catalogue import Catalogue
from polyscene.core.queries import Eligible
from polyscene.rules.filter import mask, parse

KEPT = 64
"""Masks remembered per catalogue; the oldest makes room."""


class Rules:
    """What one scenario may show.

    Remembers the masks of the last catalogue it saw: a catalogue is a snapshot, so the same object
    means the same items, and a popular filter costs one look-up per request.
    """

    def __init__(self, kind: str | None = None, where: str | None = None) -> None:
        self.kind = kind
        self.where = parse(where) if where else None
        self._kept: tuple[Catalogue | None, dict[str, Bools]] = (None, {})

    def eligible(self, catalogue: Catalogue, filters: Sequence[str | None]) -> Eligible:
        """What each of B requests may see; equal filters share a group.

        Raises:
            FilterError: A filter can't be parsed or names an unknown attribute.
        """
        texts = sorted({text or "" for text in filters})
        row = {text: place for place, text in enumerate(texts)}
        masks = np.array([self._mask(text, catalogue) for text in texts]).reshape(
            len(texts), catalogue.size
        )
        return Eligible(masks, np.array([row[text or ""] for text in filters], np.int64))

    def _mask(self, text: str, catalogue: Catalogue) -> Bools:
        seen, masks = self._kept
        if seen is not catalogue:
            masks = {}
            self._kept = (catalogue, masks)
        if text not in masks:
            found = (
                self._mask("", catalogue) & mask(parse(text), catalogue) if text else self._base(catalogue)
            )
            if len(masks) >= KEPT:
                masks.pop(next(iter(masks)), None)
            masks[text] = found
        return masks[text]

    def _base(self, catalogue: Catalogue) -> Bools:
        allowed = catalogue.of_kind(self.kind)
        return allowed & mask(self.where, catalogue) if self.where else allowed
