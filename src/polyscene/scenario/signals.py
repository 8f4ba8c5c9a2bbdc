"""Which actions speak for an item and which against it: the same reading in training and serving."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from polyscene.core.arrays import Bools, Floats, RaggedTable


@dataclass(frozen=True, slots=True)
class Signals:
    """Weights by name of action; where `positive` is empty, every action that is not negative counts 1."""

    positive: Mapping[str, float]
    negative: Mapping[str, float]

    def likes(self, history: RaggedTable, actions: Sequence[str]) -> RaggedTable:
        """What models may learn from: the positive events, each value times the weight of its action."""
        if not self.positive and not self.negative:
            return history
        default = 0.0 if self.positive else 1.0
        weights = np.array(
            [0.0 if name in self.negative else self.positive.get(name, default) for name in actions]
            + [default],
            np.float32,
        )
        weight: Floats = weights[history["action"]]
        columns = {**history.columns, "value": history["value"] * weight}
        return RaggedTable(history.offsets, columns).where(weight > 0)

    def dislikes(self, history: RaggedTable, actions: Sequence[str]) -> Bools:
        """(N,) True for negative events: their items are never shown to that user."""
        against = np.array([name in self.negative for name in actions] + [False])
        found: Bools = against[history["action"]]
        return found
