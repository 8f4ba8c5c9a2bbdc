"""What an item is, as a vector: one place per category word or tag."""

from collections import OrderedDict

import numpy as np

from polyscene.core.arrays import Codes, Floats, Ragged
from polyscene.core.catalogue import Catalogue, Column

SMALL_VOCABULARY = 256
"""Columns with more words than this are taken only when they are named."""
TABLE_CELLS = 4_000_000
"""Catalogues up to this size (items × words; 16 MB) keep all their vectors, so a request only looks up."""
CATALOGUES = 2
_TABLES: OrderedDict[int, tuple[Catalogue, dict[tuple[str, ...], Floats]]] = OrderedDict()


def attribute_vectors(catalogue: Catalogue, codes: Codes, by: tuple[str, ...] = ()) -> Floats:
    """(n, D) unit rows over the words of the columns `by`; zeros for items without any.

    `by` empty: every category and tags column with a small vocabulary. Columns that do not exist (yet)
    are passed over, unknown codes are zeros.
    """
    columns = _chosen(catalogue, by)
    width = sum(len(column.vocabulary) for column in columns)
    if catalogue.size * width > TABLE_CELLS:
        return _vectors(catalogue, columns, codes)
    table = _TABLES.get(id(catalogue), (catalogue, {}))[1].get(by)
    if table is None:
        everything = np.arange(catalogue.size + 1, dtype=np.int32)  # the last one is unknown: zeros
        table = _keep(catalogue, by, _vectors(catalogue, columns, everything))
    return table[np.where((codes >= 0) & (codes < catalogue.size), codes, catalogue.size)]


def _keep(catalogue: Catalogue, by: tuple[str, ...], table: Floats) -> Floats:
    """Remembers the vectors of a catalogue; holding on to it makes its identity a safe key."""
    tables = {**_TABLES.get(id(catalogue), (catalogue, {}))[1], by: table}
    _TABLES[id(catalogue)] = (catalogue, tables)
    while len(_TABLES) > CATALOGUES:
        _TABLES.popitem(last=False)
    return table


def _vectors(catalogue: Catalogue, columns: list[Column], codes: Codes) -> Floats:
    """The rows of `codes`, made from the columns."""
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
