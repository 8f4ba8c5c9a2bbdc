"""Items that share a value of an attribute: the same author, one of the same tags."""

import numpy as np

from polyscene.core.arrays import Codes, Ragged
from polyscene.core.catalogue import Catalogue


def alike(catalogue: Catalogue, attribute: str, codes: Codes) -> Codes:
    """(n,) codes of the items that share a value of `attribute` with one of `codes`, rising.

    These items themselves are among them where they have a value. An attribute that no item has is
    shared by none.
    """
    column = catalogue.columns.get(attribute)
    nobody: Codes = np.zeros(0, np.int32)
    codes = codes[(codes >= 0) & (codes < catalogue.size)]
    if column is None or not len(codes):
        return nobody
    if isinstance(column.values, Ragged):
        words = np.unique(column.values.take(codes).values)
        hits = np.isin(column.values.values, words)
        return np.unique(column.values.rows()[hits]).astype(np.int32)
    told = column.values[codes]
    if column.type == "number":
        told = told[~np.isnan(told)]
    elif column.type == "category":
        told = told[told >= 0]
    else:
        texts = set(told.tolist()) - {""}
        return np.array([code for code, text in enumerate(column.values) if text in texts], np.int32)
    return np.flatnonzero(np.isin(column.values, told)).astype(np.int32)
