"""Splits of the data into what a model may learn from and what it is asked."""

from dataclasses import dataclass

from polyscene.core.arrays import Ragged
from polyscene.core.contracts import Data
from polyscene.core.queries import Queries


@dataclass(frozen=True, slots=True)
class Holdout:
    """Held-out answers and the queries that ask for them.

    Shapes: B `queries`, one per test user, with the history known to the model, ``exclude`` = seen
    items, ``at`` = time of the target or of the cut; `targets` B lists of >= 1 item codes, `values`
    beside them (ratings or weights), float32.
    """

    queries: Queries
    targets: Ragged
    values: Ragged


@dataclass(frozen=True, slots=True)
class Split:
    """One protocol applied to the data.

    `fit_all` is `train` plus the validation part. `digest`: sha256 of the split's content, in hex, so
    that two figures can be known to stand on the same split.
    """

    protocol: str
    train: Data
    fit_all: Data
    valid: Holdout
    test: Holdout
    digest: str
