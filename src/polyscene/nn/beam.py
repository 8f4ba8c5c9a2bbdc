"""Beam search over a trie of ids that never leaves what is eligible, without Python per token.

Legend: B queries, G rule sets, N items, C levels of an id, K codes a level; beams are flat: one row each.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from polyscene.core.arrays import Array, Bools, Codes, Ragged, Scores, offsets_of, spans

Ints = NDArray[np.int64]
Logits = Callable[[Ints, Codes], Scores]
"""Query rows (n,) and the codes chosen so far (n, level) -> logits of the next code (n, K)."""


@dataclass(frozen=True, slots=True, eq=False)
class Trie:
    """Ids in rising order, and the nodes of their common beginnings.

    The ids under a node are one stretch of them, its children one stretch of the next level's nodes.

    Shapes: `ids` (N, C) distinct rows, rising; `items` (N,) what each id stands for; `starts[l]` first id
    under each node of level l, N at its end; `children[l]` first child of each node, the next level's size
    at its end.
    """

    ids: Codes
    items: Array
    starts: tuple[Ints, ...] = field(init=False)
    children: tuple[Ints, ...] = field(init=False)

    def __post_init__(self) -> None:
        N, C = self.ids.shape
        fresh = np.zeros(N, bool)
        fresh[:1] = True
        starts = [np.append(np.flatnonzero(fresh), N)]
        for level in range(C):
            fresh[1:] |= self.ids[1:, level] != self.ids[:-1, level]
            starts.append(np.append(np.flatnonzero(fresh), N))
        children = [np.searchsorted(below, above) for above, below in pairwise(starts)]
        object.__setattr__(self, "starts", tuple(starts))
        object.__setattr__(self, "children", tuple(children))

    @classmethod
    def of(cls, ids: Codes) -> "Trie":
        """The trie of distinct ids (N, C) in any order; an item is the row of its id."""
        order = np.lexsort(ids.T[::-1])
        return cls(ids[order], order)


@dataclass(frozen=True, slots=True, eq=False)
class Open:
    """How many eligible items stand under a node.

    Shapes: `upto` (G, N + 1) allowed ids before each; `groups` (B,) rule set of each query; `barred` sorted
    keys ``query * (N + 1) + place`` of allowed ids that the query excludes.
    """

    upto: Ints
    groups: Array
    barred: Ints

    @classmethod
    def of(cls, masks_GN: Bools, groups: Array, excluded: Ragged) -> "Open":
        """From masks over the trie's ids and lists of their places, -1 for none."""
        G, N = masks_GN.shape
        upto = np.zeros((G, N + 1), np.int64)
        np.cumsum(masks_GN, axis=1, out=upto[:, 1:])
        rows, places = excluded.rows(), excluded.values.astype(np.int64)
        counts = (places >= 0) & masks_GN[groups[rows], np.maximum(places, 0)] if N else np.zeros(0, bool)
        return cls(upto, groups, np.unique(rows[counts] * (N + 1) + places[counts]))

    def count(self, queries: Ints, first: Ints, last: Ints) -> Ints:
        """(n,) eligible ids in ``first .. last`` for each query."""
        width = self.upto.shape[1]
        groups = self.groups[queries]
        allowed = self.upto[groups, last] - self.upto[groups, first]
        left = np.searchsorted(self.barred, queries * width + first)
        barred: Ints = allowed - (np.searchsorted(self.barred, queries * width + last) - left)
        return barred


def search(
    trie: Trie, open_: Open, trained: Bools, logits: Logits, width: Ints
) -> tuple[Ints, Ints, Scores]:
    """The `width` (B,) most likely eligible ids: query rows, places in the trie, log-probabilities.

    By query, best first. Every node kept has an eligible item below it, so a
    query gets `width` ids, or all that are eligible for it. A code's probability is a softmax over the
    codes that `trained` ids (N,) have at this node, so ids that came later change nothing for them.
    """
    everyone, ends = np.arange(len(width)), np.full(len(width), len(trie.ids))
    query = np.flatnonzero((open_.count(everyone, np.zeros_like(ends), ends) > 0) & (width > 0))
    node, score = np.zeros_like(query), np.zeros(len(query), np.float32)
    known = np.append(0, np.cumsum(trained))
    for level, children in enumerate(trie.children):
        counts = children[node + 1] - children[node]
        child = spans(children[node], counts)
        parent = np.repeat(np.arange(len(node)), counts)
        first, last = trie.starts[level + 1][child], trie.starts[level + 1][child + 1]
        value = np.zeros(len(child), np.float32)
        # An only child is certain, and at the last levels most nodes have but one.
        split = np.flatnonzero(counts > 1)
        if len(split):
            path = trie.ids[trie.starts[level][node[split]], :level]
            value_nK = logits(query[split], path)
            several = np.flatnonzero(counts[parent] > 1)
            token = np.minimum(trie.ids[first[several], level], value_nK.shape[1] - 1)
            raw = value_nK[np.repeat(np.arange(len(split)), counts[split]), token]
            old = known[last[several]] > known[first[several]]
            value[several] = raw - np.repeat(_log_sum(raw, old, counts[split]), counts[split])
        value += score[parent]
        fits = np.flatnonzero(open_.count(query[parent], first, last))
        kept = fits[_best(query[parent[fits]], value[fits], width)]
        query, node, score = query[parent[kept]], child[kept], value[kept]
    return query, node, score


def _log_sum(values: Scores, counted: Bools, lengths: Ints) -> Scores:
    """(n,) logarithm of the sum of the exponentials of each stretch, of what is counted in it."""
    if not len(lengths):
        return np.zeros(0, np.float32)
    starts = offsets_of(lengths)[:-1]
    values = np.where(counted, values, np.float32(-np.inf))
    highest = np.maximum.reduceat(values, starts)
    total = np.add.reduceat(np.exp(values - np.repeat(highest, lengths)), starts)
    summed: Scores = (highest + np.log(total)).astype(np.float32)
    return summed


def _best(query: Ints, value: Scores, width: Ints) -> Ints:
    """Places of the `width` highest values of each query, by query, best first; ties to the earlier."""
    order = np.lexsort((-value, query))
    lengths = np.bincount(query)
    rank = np.arange(len(order)) - np.repeat(offsets_of(lengths)[:-1], lengths)
    kept: Ints = order[rank < width[query[order]]]
    return kept
