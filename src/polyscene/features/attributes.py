"""What an item is, as a vector: one place per category word or tag."""

import numpy as np

from polyscene.core.arrays import Codes, Floats, Ragged
from polyscene.core.catalogue import Catalogue, Column

SMALL_VOCABULARY = 256
"""Columns with more words than this are taken only when they are named."""


def attribute_vectors(catalogue: Catalogue, codes: Codes, by: tuple[str, ...] = ()) -> Floats:
    """(n, D) unit rows over the words of the columns `by`; zeros for items without any.

    `by` empty: every category and tags column with a small vocabulary. Columns that do not exist (yet)
    are passed over, unknown codes are zeros.
    """
    columns = _chosen(catalogue, by)
    vectors = np.zeros((len(codes), sum(len(column.vocabulary) for column in columns)), np.float32)
    known = np.flatnonzero((codes >= 0) & (codes < catalogue.size))
    start = 0
    for column in columns:
        if isinstance(column.values, Ragged):
            tags = column.values.take(codes[known])
            vectors[known[tags.rows()], start + tags.values] = 1
        else:
            words = column.values[codes[known]]
            vectors[known[words >= 0], start + words[words >= 0]] = 1
        start += len(column.vocabulary)
    length = np.sqrt(np.einsum("nd,nd->n", vectors, vectors))[:, None]
    vectors /= np.where(length > 0, length, 1)
    return vectors


def _chosen(catalogue: Catalogue, by: tuple[str, ...]) -> list[Column]:
    found = [
        catalogue.columns[name] for name in sorted(by or catalogue.columns) if name in catalogue.columns
    ]
    kept = [column for column in found if column.type in ("category", "tags")]
    return kept if by else [column for column in kept if len(column.vocabulary) <= SMALL_VOCABULARY]
