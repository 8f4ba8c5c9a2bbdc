"""What a ranker is taught of labelled slates."""

from collections.abc import Iterator

import numpy as np

from polyscene.core.arrays import Array, Floats, Ragged
from polyscene.core.contracts import Examples
from polyscene.core.queries import Queries
from polyscene.core.slates import Slates

BLOCK = 256
"""Queries whose features are held at once."""


def drawn(
    examples: Examples, negatives: int, rng: np.random.Generator
) -> Iterator[tuple[Queries, Slates, Floats, Array]]:
    """Blocks of slates that hold a label: queries, whole slates, labels, and which candidates are taught.

    Taught are all labelled ones and `negatives` others of each slate, drawn by chance.
    """
    slates = examples.slates
    labels = Ragged(slates.offsets, examples.labels)
    taught = np.flatnonzero(np.bincount(slates.rows(), examples.labels > 0, len(slates)))
    for start in range(0, len(taught), BLOCK):
        rows = taught[start : start + BLOCK]
        block, wanted = slates.take(rows), labels.take(rows).values
        chance = np.where(wanted > 0, -1.0, rng.random(len(wanted)))
        order = np.lexsort((chance, block.rows()))
        hits = np.bincount(block.rows(), wanted > 0, len(rows))
        chosen = order[block.ranks() < (negatives + hits)[block.rows()]]
        yield examples.queries.take(rows), block, wanted, chosen
