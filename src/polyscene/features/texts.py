"""What an item says of itself, as one line of text for a model that reads language."""

from collections.abc import Sequence

import numpy as np

from polyscene.core.arrays import Codes, Ragged
from polyscene.core.catalogue import Catalogue, Column
from polyscene.core.errors import ConfigError, nearest
from polyscene.features.terms import texts_of

PART = ". "
"""Between two attributes."""


def told(catalogue: Catalogue, attributes: Sequence[str] | None, where: str) -> tuple[str, ...]:
    """The attributes that are read: those asked for, or all texts and behind them categories and tags.

    Raises:
        ConfigError: One that was asked for does not exist, or there is none; `where` names the asker.
    """
    columns = catalogue.columns
    if attributes is None:
        texts = [name for name, column in columns.items() if column.type == "text"]
        attributes = texts + [
            name for name, column in columns.items() if column.type in ("category", "tags")
        ]
    for name in attributes:
        if name not in columns:
            raise ConfigError(
                f"{where}.attributes: items have no attribute {name!r}{nearest(name, columns)}"
            )
    if not attributes:
        raise ConfigError(
            f"{where}: items have neither texts nor labels to read; put some, or take another ranker"
        )
    return tuple(attributes)


def item_texts(catalogue: Catalogue, codes: Codes, attributes: Sequence[str]) -> list[str]:
    """(N,) the attributes of each item in their order, parted by a full stop; empty for unknown codes.

    Tags stand with commas between them, numbers in their shortest form. An attribute that the catalogue or
    an item lacks is left out.
    """
    known = np.flatnonzero((codes >= 0) & (codes < catalogue.size))
    columns = [catalogue.columns[name] for name in attributes if name in catalogue.columns]
    parts = [_said(column, codes[known]) for column in columns]
    found = [""] * len(codes)
    for row, *words in zip(known.tolist(), *parts, strict=True):
        found[row] = PART.join(word for word in words if word)
    return found


def _said(column: Column, codes: Codes) -> list[str]:
    if column.type != "number" or isinstance(column.values, Ragged):
        return texts_of(column, codes)
    return ["" if np.isnan(value) else f"{value:g}" for value in column.values[codes].tolist()]
