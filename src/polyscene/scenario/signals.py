"""Which actions speak for an item and which against it: the same reading in training and serving."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from polyscene.core.arrays import Array, Bools, Floats, Ragged, RaggedTable, distinct
from polyscene.core.catalogue import Catalogue
from polyscene.events.event import IMPRESSION
from polyscene.rules.alike import alike


@dataclass(frozen=True, slots=True)
class Signals:
    """Weights by name of action; where `positive` is empty, every action that is not negative counts 1.

    A negative action with a number is against its item; with a text it is against every item that shares
    a value of the attribute of that name. An impression counts for nothing.
    """

    positive: Mapping[str, float]
    negative: Mapping[str, float | str]

    def likes(self, history: RaggedTable, actions: Sequence[str]) -> RaggedTable:
        """What models may learn from: the positive events, each value times the weight of its action."""
        if not self.positive and not self.negative and IMPRESSION not in actions:
            return history
        weight: Floats = self._weights(actions)[history["action"]]
        columns = {**history.columns, "value": history["value"] * weight}
        return RaggedTable(history.offsets, columns).where(weight > 0)

    def dislikes(self, history: RaggedTable, actions: Sequence[str]) -> Bools:
        """(N,) True for negative events that no later positive event of the same list and item undid."""
        against = np.array([name in self.negative for name in actions] + [False])[history["action"]]
        if not against.any():
            found: Bools = against
            return found
        items = history["item"].astype(np.int64)
        _, place = np.unique(history.rows() * (items.max() + 2) + items, return_inverse=True)
        undone = np.full(place.max() + 1, -1, np.int64)
        good = np.flatnonzero(self._weights(actions)[history["action"]] > 0)
        np.maximum.at(undone, place[good], good)
        still: Bools = against & (np.arange(len(items)) > undone[place])
        return still

    def barred(self, history: RaggedTable, actions: Sequence[str], catalogue: Catalogue) -> Ragged:
        """Items that must not be shown to whoever has each of the B histories, rising."""
        still = np.flatnonzero(self.dislikes(history, actions) & (history["item"] >= 0))
        rows, items = history.rows()[still], history["item"][still]
        named = np.array([*(self.negative.get(name) for name in actions), None], object)[
            history["action"][still]
        ]
        parts: list[tuple[Array, Array]] = [(rows, items)]
        for attribute in sorted({name for name in named if isinstance(name, str)}):
            for row in np.unique(rows[named == attribute]).tolist():
                found = alike(catalogue, attribute, items[(named == attribute) & (rows == row)])
                parts.append((np.full(len(found), row), found))
        return distinct(
            np.concatenate([each for each, _ in parts]),
            np.concatenate([each for _, each in parts]),
            len(history),
        )

    def _weights(self, actions: Sequence[str]) -> Floats:
        """(A+1,) weight of each action; the last stands for an action without a name."""
        default = 0.0 if self.positive else 1.0
        silent = {IMPRESSION, *self.negative}
        return np.array(
            [0.0 if name in silent else self.positive.get(name, default) for name in actions] + [default],
            np.float32,
        )
