"""Smaller stand-ins for a table of vectors: centres, factors, a shared pool.

Legend: R rows, D width, K rank, M parts, C centres, E = D / M, P vectors of the pool, H hashes.
"""

import faiss
import numpy as np
from scipy import linalg, sparse
from scipy.sparse.linalg import lsqr

from polyscene.core.arrays import Array, Floats
from polyscene.lean.packing import hashes

MOST_BITS = 8
TURNS = 5
"""Turns of fitting pool and weights; more changed nothing in the third digit."""


def centred(table_RD: Floats, parts: int) -> tuple[Array, Floats]:
    """(R, M) uint8 which centre stands for each part of a row, and (M, C, E) the centres.

    There are 256 centres, or the largest power of two that the rows can teach.
    """
    R, D = table_RD.shape
    bits = min(MOST_BITS, max(1, int(np.log2(max(2, R)))))
    quantiser = faiss.ProductQuantizer(D, parts, bits)
    quantiser.cp.min_points_per_centroid = 1  # else it warns of small catalogues on standard error
    quantiser.train(table_RD)
    book_MCE = faiss.vector_to_array(quantiser.centroids).reshape(parts, 1 << bits, D // parts)
    parts_MRE = np.ascontiguousarray(table_RD.reshape(R, parts, -1).transpose(1, 0, 2))
    near = [
        faiss.knn(part_RE, book_CE, 1)[1][:, 0]
        for part_RE, book_CE in zip(parts_MRE, book_MCE, strict=True)
    ]
    return np.stack(near, 1).astype(np.uint8), book_MCE.astype(np.float32)


def factors(table_RD: Floats, rank: int) -> tuple[Floats, Floats]:
    """(R, K) and (K, D) whose product is nearest to the table; the singular values are shared out."""
    left, values, right = linalg.svd(table_RD, full_matrices=False, check_finite=False)
    root_K = np.sqrt(values[:rank])
    left_RK = np.ascontiguousarray(left[:, :rank] * root_K, np.float32)
    return left_RK, np.ascontiguousarray(root_K[:, None] * right[:rank], np.float32)


def shared_pool(table_RD: Floats, pool: int, times: int) -> tuple[Floats, Floats]:
    """(P, D) a pool and (R, H) weights, so that a row is the weighted sum of the vectors it hashes to."""
    R, D = table_RD.shape
    places_HR = hashes(R, pool, times)
    shares_RH: Array = np.ones((R, times))
    pool_PD: Array = np.zeros((pool, D))
    for _ in range(TURNS):
        cells = np.tile(np.arange(R), times), places_HR.ravel()
        mixing_RP = sparse.csr_matrix((shares_RH.T.ravel(), cells), (R, pool))
        pool_PD = np.stack([lsqr(mixing_RP, column, damp=1e-3)[0] for column in table_RD.T], 1)
        drawn_RHD = pool_PD[places_HR].transpose(1, 0, 2)
        gram_RHH = drawn_RHD @ drawn_RHD.transpose(0, 2, 1) + 1e-6 * np.eye(times)
        shares_RH = np.linalg.solve(gram_RHH, drawn_RHD @ table_RD[:, :, None])[:, :, 0]
    return pool_PD.astype(np.float32), shares_RH.astype(np.float32)
