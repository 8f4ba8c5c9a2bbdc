"""Histories as a sparse matrix: a row per list, a column per row of a part."""

import numpy as np
from scipy import sparse

from polyscene.core.arrays import RaggedTable, offsets_of
from polyscene.core.rows import Rows


def interactions(histories: RaggedTable, rows: Rows, *, weighted: bool = False) -> sparse.csr_matrix:
    """(B, R) float32 CSR, sorted indices: 1 where list b holds the item of row r, else nothing.

    An item that a list holds twice counts once; with `weighted` the cell is its largest ``value`` there.
    Items without a row are left out.
    """
    columns = rows.of(histories["item"])
    known = columns >= 0
    values = histories["value"][known] if weighted else np.ones(int(known.sum()), np.float32)
    kept = np.concatenate([[0], np.cumsum(known)])[histories.offsets]
    matrix = sparse.csr_matrix(
        (values.astype(np.float32), columns[known], kept), shape=(len(histories), len(rows))
    )
    matrix.sort_indices()
    return _collapsed(matrix)


def _collapsed(matrix: sparse.csr_matrix) -> sparse.csr_matrix:
    first = np.ones(matrix.nnz, bool)
    first[1:] = np.diff(matrix.indices) != 0
    first[matrix.indptr[:-1][np.diff(matrix.indptr) > 0]] = True
    if first.all():
        return matrix
    starts = np.flatnonzero(first)
    lengths = np.bincount(
        np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))[first], minlength=matrix.shape[0]
    )
    return sparse.csr_matrix(
        (np.maximum.reduceat(matrix.data, starts), matrix.indices[starts], offsets_of(lengths)),
        shape=matrix.shape,
    )
