"""Metrics of a ranking, per query and in total.

With T distinct targets of a query, ranks r counted from 0, and hits = targets with r < k:

- ``hr@k``: 1 if there is a hit (``Success@k`` in trec_eval).
- ``precision@k``, ``recall@k``: hits / k, hits / T.
- ``f1@k``: harmonic mean of the two, 0 without a hit. Van Rijsbergen, 1979.
- ``ndcg@k``: sum over hits of 1 / log2(r + 2), divided by the same sum over ranks 0 .. min(k, T) - 1.
  Järvelin and Kekäläinen, 2002, with a hit worth 1.
- ``map@k``: sum over hits of (hits up to and with it) / (r + 1), divided by T, as trec_eval does. Buckley
  and Voorhees, 2000. (Some divide by min(k, T); the figures are not comparable.)
- ``mrr@k``: 1 / (best r + 1), 0 without a hit. Voorhees, 1999.
- ``auc``: chance that a target stands above an item that is none; a tie is a loss, and what
  is not reached stands last, so a stage that gives short slates has a low one. Hanley and McNeil, 1982.

Totals are means over queries. Beyond accuracy: see `beyond`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from polyscene.core.arrays import Array
from polyscene.evaluate.beyond import ItemFacts, beyond_per_query, beyond_totals
from polyscene.evaluate.ranking import Ranking

Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Measures:
    """What was measured.

    `per_query`: name -> (B,) values, NaN where a query can't say (a slate of one has no diversity).
    `totals`: name -> one number: the mean of the queries that can say, and figures of the whole
    catalogue such as coverage; NaN when no query can.
    """

    per_query: Mapping[str, Values]
    totals: Mapping[str, float]


def measure(ranking: Ranking, facts: ItemFacts | None = None, ks: Sequence[int] = (10,)) -> Measures:
    """All metrics at every cut-off of `ks`; those beyond accuracy need `facts` about the items."""
    per_query: dict[str, Values] = {}
    totals: dict[str, float] = {}
    for k in ks:
        here = accuracy_at(ranking, k)
        whole = {}
        if facts is not None:
            head = ranking.slates.head(k)
            here |= {f"{name}@{k}": each for name, each in beyond_per_query(head, facts).items()}
            whole = {f"{name}@{k}": each for name, each in beyond_totals(head, facts).items()}
        per_query |= here
        totals |= {name: mean(each) for name, each in here.items()} | whole
    per_query["auc"] = auc(ranking)
    return Measures(per_query, totals | {"auc": mean(per_query["auc"])})


def mean(values: Array) -> float:
    """Mean of what is not NaN; NaN when nothing is left."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")


def accuracy_at(ranking: Ranking, k: int) -> dict[str, Values]:
    """hr, precision, recall, f1, ndcg, map and mrr at one cut-off, each (B,)."""
    rows, ranks, order_of_hit = _by_rank(ranking)
    total = ranking.targets.lengths
    hit = ranking.reached()[order_of_hit] & (ranks < k)

    def per_query(weights: Array) -> Values:
        return np.bincount(rows[hit], weights=weights[hit], minlength=len(total)).astype(np.float64)

    hits = per_query(np.ones(len(ranks)))
    place = np.arange(len(ranks)) - np.repeat(ranking.targets.offsets[:-1], total)
    ideal = np.concatenate([[0.0], np.cumsum(1 / np.log2(np.arange(k) + 2))])
    precision, recall = hits / k, hits / total
    best = per_query((place == 0) / (ranks + 1.0))
    return {
        f"hr@{k}": np.minimum(hits, 1.0),
        f"precision@{k}": precision,
        f"recall@{k}": recall,
        f"f1@{k}": 2 * precision * recall / np.maximum(precision + recall, 1e-12),
        f"ndcg@{k}": per_query(1 / np.log2(ranks + 2.0)) / ideal[np.minimum(total, k)],
        f"map@{k}": per_query((place + 1) / (ranks + 1.0)) / total,
        f"mrr@{k}": best,
    }


def auc(ranking: Ranking) -> Values:
    """(B,) area under the ROC curve over all candidates; NaN where every candidate is a target."""
    rows, ranks, _ = _by_rank(ranking)
    total = ranking.targets.lengths
    place = np.arange(len(ranks)) - np.repeat(ranking.targets.offsets[:-1], total)
    others = ranking.candidates - total
    above = np.minimum(ranks - place, others[rows])
    lost = np.bincount(rows, weights=above, minlength=len(total))
    pairs = (total * others).astype(np.float64)
    return np.where(pairs > 0, 1 - lost / np.where(pairs > 0, pairs, 1), np.nan)


def _by_rank(ranking: Ranking) -> tuple[Array, Array, Array]:
    """Rows and ranks of the targets, best first in each row, and the order that does it."""
    rows = ranking.targets.rows()
    order = np.lexsort((ranking.ranks.values, rows))
    return rows, ranking.ranks.values[order], order
