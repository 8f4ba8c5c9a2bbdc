"""Vectors carried along the links of a graph: the product that graph models spend their time on.

Legend: N rows of the matrix, M columns, D width, U users, R item rows, E links.
"""

from typing import Any

import numpy as np
import torch
from scipy import sparse
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from polyscene.core.arrays import Array


class Spread:
    """A sparse (N, M) matrix as a step of a network: what each row's links bring, weighted, in sum.

    Called with (M, D) vectors it gives (N, D); the gradient goes back through the transpose, kept beside.
    Each row is a bag of vectors: on ML-1M that takes two thirds of what torch's CSR product takes, a third
    of SciPy's and a tenth of a dense product's (``bench/propagation.py``).
    """

    def __init__(self, matrix: sparse.csr_matrix, device: torch.device) -> None:
        self.shape: tuple[int, int] = matrix.shape
        self._there = _Bags(matrix, device)
        self._back = _Bags(matrix.T.tocsr(), device)

    def __call__(self, x_MD: Tensor) -> Tensor:
        """(N, D), zeros for a row without links."""
        out: Tensor = _Spread.apply(x_MD, self._there, self._back)  # type: ignore[no-untyped-call]
        return out


class _Bags:
    """The rows of a matrix as bags of columns with weights."""

    def __init__(self, matrix: sparse.csr_matrix, device: torch.device) -> None:
        # 32-bit numbers halve the reading; torch wants both arrays of one type.
        arrays = matrix.indices.astype(np.int32), matrix.indptr.astype(np.int32), matrix.data
        self._columns, self._offsets, self._weights = (torch.from_numpy(each).to(device) for each in arrays)

    def sums(self, x_MD: Tensor) -> Tensor:
        """(N, D) weighted sums of the bags."""
        if not len(self._columns):
            return x_MD.new_zeros(len(self._offsets) - 1, x_MD.shape[1])
        return functional.embedding_bag(
            self._columns,
            x_MD.contiguous(),
            self._offsets,
            mode="sum",
            per_sample_weights=self._weights.to(x_MD.dtype),
            include_last_offset=True,
        )


class _Spread(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x_MD: Tensor, there: _Bags, back: _Bags) -> Tensor:
        ctx.back = back
        return there.sums(x_MD)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_ND: Tensor) -> tuple[Tensor, None, None]:
        return ctx.back.sums(grad_ND), None, None


def balanced(touched_UR: sparse.csr_matrix) -> sparse.csr_matrix:
    """(U + R, U + R) links both ways between users and items, each over the root of both ends' degrees.

    Source: the symmetric normalisation of Kipf and Welling 2017, as LightGCN takes it: no self links.
    """
    links = sparse.bmat([[None, touched_UR], [touched_UR.T, None]], format="csr", dtype=np.float32)
    share = np.sqrt(np.maximum(np.diff(links.indptr), 1)).astype(np.float32)
    links.data = 1 / (share[rows_of(links)] * share[links.indices])
    return links


def averaging(links: sparse.csr_matrix) -> sparse.csr_matrix:
    """The same links with weights that sum to 1 in every row that has any."""
    sums = np.asarray(links.sum(axis=1), np.float32).ravel()
    shares = links.astype(np.float32).tocsr()
    shares.data = shares.data / sums[rows_of(shares)]
    return shares


def rows_of(matrix: sparse.csr_matrix) -> Array:
    """(E,) the row of each stored cell."""
    return np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
