"""Exact ranks of held-out items among everything a query could be shown, in bounded memory."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from polyscene.core.arrays import Array, Ragged, Scores, offsets_of
from polyscene.core.contracts import Holdout, Progress, ScoresAll, Stage, silent
from polyscene.core.errors import DataError
from polyscene.core.queries import Queries
from polyscene.core.slates import Slates, concat, mask_block, top

BLOCK_CELLS = 2_000_000
"""Scores held at once (8 MB of float32): small enough to stay in cache, large enough for a fast product."""

Ranks = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Ranking:
    """Where the held-out items of B queries came to stand.

    Shapes: `slates` B lists, the best k; `targets` B lists of distinct held-out codes; `ranks` beside them,
    0 = best, the number of candidates where an item was not reached; `candidates` (B,) how many items
    the query could have been shown.
    """

    slates: Slates
    targets: Ragged
    ranks: Ragged
    candidates: Ranks

    def reached(self) -> NDArray[np.bool_]:
        """(N,) True for each target that got a place at all."""
        found: NDArray[np.bool_] = self.ranks.values < self.candidates[self.ranks.rows()]
        return found


def rank(stage: Stage, holdout: Holdout, *, k: int = 50, progress: Progress = silent) -> Ranking:
    """Ranks of all targets over the full catalogue; nothing is sampled.

    A stage that scores everything is ranked exactly. Ties are read against it: a target stands behind every
    other item of its score, and tied targets share the last of those places. An item scored -inf or NaN is
    not reached. Any other stage is asked for slates of `k`, and a target outside its slate is not reached.
    A target listed twice counts once; a target without a code (-1) is never reached but stays in the count.

    Raises:
        DataError: A target is masked by its own query, or a query has no target.
    """
    targets = _distinct(holdout.targets)
    excluded = _excluded(holdout.queries)
    _check(holdout.queries, targets, excluded)
    candidates = _candidates(holdout.queries, excluded)
    slates, ranks = [], []
    step = max(1, BLOCK_CELLS // max(1, holdout.queries.allowed.size))
    with progress("ranking", len(targets)) as bar:
        for start in range(0, len(targets), step):
            rows = np.arange(start, min(start + step, len(targets)))
            block = _rank_block(stage, holdout.queries.take(rows), targets.take(rows), k)
            slates.append(block[0])
            ranks.append(
                np.where(block[1] < 0, np.repeat(candidates[rows], targets.lengths[rows]), block[1])
            )
            bar.advance(len(rows))
    found = np.concatenate(ranks) if ranks else np.zeros(0, np.int64)
    return Ranking(concat(slates), targets, Ragged(targets.offsets, found), candidates)


def _rank_block(stage: Stage, queries: Queries, targets: Ragged, k: int) -> tuple[Slates, Ranks]:
    """Slates of `k` and the rank of each target, -1 where it is not reached."""
    if isinstance(stage, ScoresAll):
        scores_BI = np.asarray(stage.score_all(queries), np.float32)
        if np.isnan(scores_BI).any():
            scores_BI = np.where(np.isnan(scores_BI), np.float32(-np.inf), scores_BI)
        mask_block(scores_BI, queries)
        return top(scores_BI, k), places(scores_BI, targets)
    found = stage(queries.wanting(k), Slates.empty(len(queries))).head(k)
    return Slates(found.offsets, found.items, found.scores), _places_in(found, targets)


def places(scores_BI: Scores, targets: Ragged) -> Ranks:
    """(N,) pessimistic rank of each target in its row of a masked block; -1 where it scores -inf."""
    rows, codes = targets.rows(), targets.values
    known = (codes >= 0) & (codes < scores_BI.shape[1])
    own = np.full(len(codes), -np.inf, np.float32)
    own[known] = scores_BI[rows[known], codes[known]]
    if len(own) == len(targets):
        not_below = np.count_nonzero(scores_BI >= own[:, None], axis=1)
        return np.where(own > -np.inf, not_below - 1, -1)
    rising = np.sort(scores_BI, axis=1)
    below = np.zeros(len(own), np.int64)
    for row, (start, stop) in enumerate(zip(targets.offsets, targets.offsets[1:], strict=False)):
        below[start:stop] = np.searchsorted(rising[row], own[start:stop])
    last = scores_BI.shape[1] - below - 1
    return np.where(own > -np.inf, last - _place_in_tie(rows, own), -1)


def _place_in_tie(rows: Array, own: Array) -> Ranks:
    """(N,) 0, 1, 2 ... among the targets of one row that have equal scores."""
    order = np.lexsort((own, rows))
    fresh = np.ones(len(own), bool)
    fresh[1:] = (np.diff(rows[order]) != 0) | (own[order][1:] != own[order][:-1])
    starts = np.flatnonzero(fresh)
    place = np.empty(len(own), np.int64)
    place[order] = np.arange(len(own)) - np.repeat(starts, np.diff(np.append(starts, len(own))))
    return place


def _places_in(slates: Slates, targets: Ragged) -> Ranks:
    """(N,) first place of each target in its slate, so that a repeated item counts once; -1 when absent."""
    width = int(max(slates.items.max(initial=0), targets.values.max(initial=0))) + 2
    shown = slates.rows() * width + slates.items + 1
    asked = targets.rows() * width + targets.values + 1
    order = np.argsort(shown, kind="stable")
    spot = np.searchsorted(shown[order], asked)
    inside = spot < len(shown)
    hit = np.zeros(len(asked), bool)
    hit[inside] = shown[order[spot[inside]]] == asked[inside]
    ranks = np.full(len(asked), -1, np.int64)
    ranks[hit] = slates.ranks()[order[spot[hit]]]
    ranks[targets.values < 0] = -1
    return ranks


def _distinct(targets: Ragged) -> Ragged:
    width = int(targets.values.max(initial=0)) + 2
    keys = _unique(targets.rows() * width + targets.values + 1)
    lengths = np.bincount(keys // width, minlength=len(targets))
    if len(targets) and not lengths.all():
        raise DataError(
            f"holdout: query {int(np.argmin(lengths))} has no target; leave such queries out of the split"
        )
    return Ragged(offsets_of(lengths), (keys % width - 1).astype(np.int32))


def _excluded(queries: Queries) -> Array:
    """Sorted distinct keys ``query * size + code`` of all known exclusions."""
    size, values = queries.allowed.size, queries.exclude.values
    known = (values >= 0) & (values < size)
    return _unique(queries.exclude.rows()[known] * size + values[known])


def _candidates(queries: Queries, excluded: Array) -> Ranks:
    """(B,) items that are allowed and not excluded."""
    rows, codes = np.divmod(excluded, max(1, queries.allowed.size))
    lost = queries.allowed.masks[queries.allowed.groups[rows], codes]
    allowed = queries.allowed.masks.sum(axis=1)[queries.allowed.groups]
    return np.asarray(allowed - np.bincount(rows[lost], minlength=len(queries)), np.int64)


def _check(queries: Queries, targets: Ragged, excluded: Array) -> None:
    size = queries.allowed.size
    known = np.flatnonzero((targets.values >= 0) & (targets.values < size))
    rows, codes = targets.rows()[known], targets.values[known]
    hidden = ~queries.allowed.masks[queries.allowed.groups[rows], codes]
    hidden |= _within(rows * size + codes, excluded)
    if hidden.any():
        first = int(np.argmax(hidden))
        raise DataError(
            f"holdout: target {codes[first]} of query {rows[first]} is itself excluded or not allowed, so "
            f"it can't be answered ({int(hidden.sum())} such); take it out of `exclude` or drop the query"
        )


def _unique(keys: Array) -> Array:
    """The sorted distinct keys; a plain sort, since `numpy.unique` hashes and takes ten times as long."""
    rising = np.sort(keys)
    fresh = np.ones(len(rising), bool)
    fresh[1:] = rising[1:] != rising[:-1]
    return rising[fresh]


def _within(keys: Array, rising: Array) -> NDArray[np.bool_]:
    """(n,) whether each key is among the sorted ones."""
    if not len(rising):
        return np.zeros(len(keys), bool)
    found: NDArray[np.bool_] = rising[np.minimum(np.searchsorted(rising, keys), len(rising) - 1)] == keys
    return found
