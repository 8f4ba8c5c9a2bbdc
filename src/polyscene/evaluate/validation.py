"""The score that early stopping goes by."""

from collections.abc import Callable

import numpy as np

from polyscene.core.contracts import Holdout, Part
from polyscene.evaluate.metrics import accuracy_at
from polyscene.evaluate.ranking import rank

VALIDATED = 1_000
"""Most queries that early stopping asks; their standard error is small against the gain of an epoch."""


def validation(valid: Holdout, most: int = VALIDATED) -> Callable[[Part], float]:
    """Gives the mean ndcg@10 of a part over an even sample of `most` validation queries."""
    rows = np.unique(np.linspace(0, len(valid.queries) - 1, most).astype(np.int64))
    sample = Holdout(valid.queries.take(rows), valid.targets.take(rows), valid.values.take(rows))

    def validate(part: Part) -> float:
        return float(accuracy_at(rank(part, sample, k=10), 10)["ndcg@10"].mean())

    return validate


def asked_in(holdout: Holdout, code: int) -> Holdout:
    """The questions of one scenario."""
    rows = np.flatnonzero(holdout.queries.scenario == code)
    return Holdout(holdout.queries.take(rows), holdout.targets.take(rows), holdout.values.take(rows))
