"""Metrics beyond accuracy: what a system shows, and to how many it shows the same.

With U people, n_i of them having touched item i, and slates cut at k:

- ``coverage``: share of the showable items that stand in any slate. Ge et al., 2010.
- ``gini``: Gini index of how often each showable item is shown: 0 all alike, near 1 all on one. Fleder and
  Hosanagar, 2009.
- ``novelty``: mean of -log2(n_i / U) over a slate, in bits, n_i at least 1. Zhou et al., 2010.
- ``diversity``: 1 - mean cosine over the pairs of a slate, by categories and tags, or by the people in
  common where items have neither; an item of which nothing is known is unlike all. Ziegler et al., 2005.
- ``arp``: mean of n_i / U over a slate (average recommendation popularity). Yin et al., 2012.
- ``popularity_bias``: mean of log(1 + n_i) over the slate, divided by the same over the query's history;
  1 = as popular as what the person picks. After Abdollahpouri et al., 2019; ours takes logs, so that a few
  hits don't decide.
"""

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from polyscene.core.arrays import Array, Ragged
from polyscene.core.catalogue import Catalogue
from polyscene.core.contracts import Data
from polyscene.core.queries import Queries
from polyscene.core.rows import Rows
from polyscene.core.slates import Slates
from polyscene.dataset.matrix import interactions

SAMPLED_PEOPLE = 1_000
"""Of whom `diversity` asks which items they share, where items have no attributes."""

Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ItemFacts:
    """What the metrics need to know of I items and B queries.

    `touched` (I,) people who touched each item, of `people`; `showable` (I,) could be shown to anyone;
    `likeness` (I, F) sparse unit rows whose product says how alike two items are; `tastes` (B,) mean
    log(1 + touched) over each query's history, NaN without one.
    """

    touched: NDArray[np.int64]
    people: int
    showable: NDArray[np.bool_]
    likeness: sp.csr_matrix
    tastes: Values


def item_facts(data: Data, queries: Queries) -> ItemFacts:
    """Facts from the data a model was fitted on and the queries it is asked."""
    seen = interactions(data.histories, Rows(np.arange(data.size, dtype=np.int32)))
    touched = np.bincount(seen.indices, minlength=data.size)
    likeness = _attributes(data.catalogue)
    return ItemFacts(
        touched,
        max(1, len(data.users)),
        queries.allowed.masks[np.unique(queries.allowed.groups)].any(axis=0),
        _unit_rows(_audience(seen) if likeness is None else likeness),
        _row_means(queries.history.ragged("item"), np.log1p(touched)),
    )


def beyond_per_query(slates: Slates, facts: ItemFacts) -> dict[str, Values]:
    """Novelty, diversity, arp and popularity_bias, each (B,); NaN for an empty slate."""
    shown = Ragged(slates.offsets, slates.items)
    bits = -np.log2(np.maximum(facts.touched, 1) / facts.people)
    liked = _row_means(shown, np.log1p(facts.touched))
    known = facts.tastes > 0
    return {
        "novelty": _row_means(shown, bits),
        "diversity": _diversity(shown, facts.likeness),
        "arp": _row_means(shown, facts.touched / facts.people),
        "popularity_bias": np.where(known, liked / np.where(known, facts.tastes, 1), np.nan),
    }


def beyond_totals(slates: Slates, facts: ItemFacts) -> dict[str, float]:
    """Coverage and gini over the showable items; 0 when nothing is showable or shown."""
    shown = np.bincount(slates.items, minlength=len(facts.showable))[facts.showable]
    return {"coverage": float((shown > 0).sum() / max(1, len(shown))), "gini": gini(shown)}


def gini(counts: Array) -> float:
    """Gini index of counts: 0 when all are equal, (n - 1) / n when one has everything."""
    rising = np.sort(np.asarray(counts, np.float64))
    if not rising.sum():
        return 0.0
    weights = 2 * np.arange(1, len(rising) + 1) - len(rising) - 1
    return float((weights * rising).sum() / (len(rising) * rising.sum()))


def _row_means(lists: Ragged, values: Array) -> Values:
    """(B,) mean of ``values[code]`` per list over known codes; NaN for a list without any."""
    rows, codes = lists.rows(), lists.values
    known = (codes >= 0) & (codes < len(values))
    sums = np.bincount(rows[known], weights=values[codes[known]], minlength=len(lists))
    counts = np.bincount(rows[known], minlength=len(lists))
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def _diversity(shown: Ragged, likeness: sp.csr_matrix) -> Values:
    """(B,) by ``|sum of rows|**2 = sum over all ordered pairs``, so no pair is ever built."""
    count = shown.lengths.astype(np.float64)
    picks = sp.csr_matrix(
        (np.ones(len(shown.values), np.float32), shown.values, shown.offsets),
        shape=(len(shown), likeness.shape[0]),
    )
    alike = np.zeros(len(shown))
    step = 1024
    for start in range(0, len(shown), step):
        summed = picks[start : start + step] @ likeness
        alike[start : start + step] = np.asarray(summed.multiply(summed).sum(axis=1)).ravel()
    own = np.asarray(likeness.multiply(likeness).sum(axis=1)).ravel()
    alike -= np.bincount(shown.rows(), weights=own[shown.values], minlength=len(shown))
    pairs = count * (count - 1)
    return np.where(pairs > 0, 1 - alike / np.where(pairs > 0, pairs, 1), np.nan)


def _attributes(catalogue: Catalogue) -> sp.csr_matrix | None:
    """(I, F) categories and tags as ones; None when no column has any."""
    blocks = []
    for column in catalogue.columns.values():
        if column.type not in ("category", "tags") or not column.vocabulary:
            continue
        if isinstance(column.values, Ragged):
            rows, codes = column.values.rows(), column.values.values
        else:
            rows = np.flatnonzero(column.values >= 0)
            codes = column.values[rows]
        shape = (catalogue.size, len(column.vocabulary))
        blocks.append(sp.csr_matrix((np.ones(len(rows), np.float32), (rows, codes)), shape=shape))
    return sp.hstack(blocks, format="csr") if blocks else None


def _audience(seen: sp.csr_matrix) -> sp.csr_matrix:
    """(I, people) who touched each item, of an even sample, so that the cost stays bounded."""
    people = np.unique(np.linspace(0, max(0, seen.shape[0] - 1), SAMPLED_PEOPLE).astype(np.int64))
    return seen[people[: seen.shape[0]]].T.tocsr()


def _unit_rows(matrix: sp.csr_matrix) -> sp.csr_matrix:
    length = np.sqrt(np.asarray(matrix.multiply(matrix).sum(axis=1)).ravel())
    return sp.csr_matrix(sp.diags(1 / np.where(length > 0, length, 1)) @ matrix)
