"""Semantic ids: an item's vector as a few codes, coarse to fine, and one more that tells equals apart.

Legend: N items, V dimensions of a vector, S semantic levels, K codes a level, C = S + 1 levels of an id.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from polyscene.core.arrays import Array, Codes, Floats

LLOYD_STEPS = 25


@dataclass(frozen=True, slots=True)
class Quality:
    """How good a tokenisation is.

    `usage`: share of the codes in use, by level. `perplexity`: codes a level would have if all were used
    equally often. `collisions`: share of items that share all semantic codes with another one, before the
    last level tells them apart. `error`: squared distance of the vectors from their reconstructions over
    that from their mean, after each level.
    """

    usage: tuple[float, ...]
    perplexity: tuple[float, ...]
    collisions: float
    error: tuple[float, ...]


def _same(vectors: Floats) -> Floats:
    return vectors


@dataclass(frozen=True, slots=True, eq=False)
class Quantiser:
    """Codebooks (S, K, W) float32, the encoder (N, V) -> (N, W) before them and the decoder behind them.

    `tensors`: what a learned encoder and decoder are saved as.
    """

    codebooks: Floats
    encode: Callable[[Floats], Floats] = _same
    decode: Callable[[Floats], Floats] = _same
    tensors: Mapping[str, Array] = field(default_factory=dict)

    def codes(self, vectors_NV: Floats) -> Codes:
        """(N, S): at each level the nearest code to what the levels before left over; ties to the lower."""
        left_NW = torch.from_numpy(self.encode(vectors_NV))
        levels = []
        for book_KW in torch.from_numpy(self.codebooks):
            nearest_N = nearest(left_NW, book_KW)
            left_NW = left_NW - book_KW[nearest_N]
            levels.append(nearest_N)
        codes_NS: Codes = torch.stack(levels, 1).numpy().astype(np.int32)
        return codes_NS

    def adopt(self, vectors_NV: Floats, homes_PS: Codes) -> Codes:
        """(N, S): of the ids `homes_PS`, the one whose reconstruction is nearest to each vector."""
        homes_PW = torch.from_numpy(self._sum(homes_PS, len(self.codebooks)))
        adopted_NS: Codes = homes_PS[nearest(torch.from_numpy(self.encode(vectors_NV)), homes_PW).numpy()]
        return adopted_NS

    def quality(self, vectors_NV: Floats, codes_NS: Codes) -> Quality:
        """How well the codes stand for the vectors."""
        S, K, _ = self.codebooks.shape
        count = max(len(vectors_NV), 1)
        whole = float(((vectors_NV - vectors_NV.sum(0) / count) ** 2).sum()) or 1.0
        shares = [np.bincount(codes_NS[:, level], minlength=K) / count for level in range(S)]
        alike = np.unique(codes_NS, axis=0, return_counts=True)[1]
        decoded = [self.decode(self._sum(codes_NS, level)) for level in range(1, S + 1)]
        return Quality(
            usage=tuple(float((share > 0).mean()) for share in shares),
            perplexity=tuple(float(np.exp(-(share * np.log(share + 1e-300)).sum())) for share in shares),
            collisions=float(alike[alike > 1].sum() / count),
            error=tuple(float(((vectors_NV - again_NV) ** 2).sum()) / whole for again_NV in decoded),
        )

    def _sum(self, codes_NS: Codes, levels: int) -> Floats:
        """(N, W) sum of the code vectors of the first `levels`."""
        total_NW = np.zeros((len(codes_NS), self.codebooks.shape[2]), np.float32)
        for level in range(levels):
            total_NW += self.codebooks[level][codes_NS[:, level]]
        return total_NW


def residual_kmeans(vectors_NV: Floats, levels: int, codes: int, seed: int) -> Quantiser:
    """Codebooks by k-means on what each level leaves over.

    Source: RK-means of GRID (Ju et al. 2025, "Generative recommendation with semantic ids"); Lloyd's
    algorithm, where a code without items moves to the item that is worst represented.
    """
    chance = torch.Generator().manual_seed(seed)
    left_NV = torch.from_numpy(vectors_NV)
    books = []
    for _ in range(levels):
        book_KV = kmeans(left_NV, codes, chance)
        if len(left_NV):
            left_NV = left_NV - book_KV[nearest(left_NV, book_KV)]
        books.append(book_KV)
    return Quantiser(torch.stack(books).numpy())


def kmeans(x_NV: Tensor, codes: int, chance: torch.Generator) -> Tensor:
    """(K, V) means of `codes` clusters; zeros for codes that fewer items than codes leave over."""
    book_KV = x_NV.new_zeros(codes, x_NV.shape[1])
    used = min(codes, len(x_NV))
    if not used:
        return book_KV
    means_KV = x_NV[torch.randperm(len(x_NV), generator=chance)[:used]].clone()
    for _ in range(LLOYD_STEPS):
        home_N = nearest(x_NV, means_KV)
        counts_K = torch.bincount(home_N, minlength=used)
        sums_KV = torch.zeros_like(means_KV).index_add_(0, home_N, x_NV)
        means_KV = sums_KV / counts_K.clamp_min(1)[:, None]
        dead_K = counts_K == 0
        if dead_K.any():
            error_N = (x_NV - means_KV[home_N]).square().sum(1)
            means_KV[dead_K] = x_NV[error_N.argsort(descending=True, stable=True)[: int(dead_K.sum())]]
    book_KV[:used] = means_KV
    return book_KV


def nearest(x_NV: Tensor, points_KV: Tensor) -> Tensor:
    """(N,) index of the nearest point; ties to the lower."""
    return (x_NV @ points_KV.mT).mul_(-2).add_(points_KV.square().sum(1)).argmin(1)


def with_ordinals(semantic_NS: Codes, taken_MC: Codes | None = None) -> Codes:
    """(N, C): the codes and one more, 0, 1, 2 ... among those that share all of them, in the order given.

    With ids `taken_MC` given before, it goes on after the highest of them.
    """
    taken = np.zeros((0, semantic_NS.shape[1] + 1), np.int32) if taken_MC is None else taken_MC
    everything = np.concatenate([taken[:, :-1], semantic_NS])
    group = np.unique(everything, axis=0, return_inverse=True)[1].ravel()
    first = np.zeros(len(group), np.int64)
    np.maximum.at(first, group[: len(taken)], taken[:, -1] + 1)
    group = group[len(taken) :]
    order = np.argsort(group, kind="stable")
    counts = np.bincount(group)
    ordinal = np.empty(len(group), np.int64)
    ordinal[order] = np.arange(len(group)) - np.repeat(np.cumsum(counts) - counts, counts)
    return np.concatenate([semantic_NS, (first[group] + ordinal)[:, None]], axis=1).astype(np.int32)
