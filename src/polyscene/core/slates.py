"""Slates: B ordered answers, and the one way to cut a block of scores into them."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from polyscene.core.arrays import Array, Bools, Codes, Offsets, Ragged, Scores, offsets_of, spans
from polyscene.core.queries import Queries


@dataclass(frozen=True, slots=True)
class Slates:
    """B ragged lists of candidates, best first.

    Shapes: offsets (B+1,); items, scores and every column (N,). A source writes its own evidence as
    float32 columns ``rank:<name>`` (0 = best) and ``score:<name>``, NaN where it did not bring the item.
    """

    offsets: Offsets
    items: Codes
    scores: Scores
    columns: Mapping[str, Array] = field(default_factory=dict)

    @classmethod
    def empty(cls, count: int) -> "Slates":
        """`count` slates without a candidate."""
        return cls(np.zeros(count + 1, np.int64), np.zeros(0, np.int32), np.zeros(0, np.float32))

    @property
    def lengths(self) -> NDArray[np.int64]:
        """(B,) how many candidates each slate has."""
        return self.offsets[1:] - self.offsets[:-1]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def rows(self) -> NDArray[np.int64]:
        """(N,) the slate that each candidate stands in."""
        return np.repeat(np.arange(len(self)), self.lengths)

    def ranks(self) -> NDArray[np.int64]:
        """(N,) place of each candidate in its slate, 0 = first."""
        return np.arange(len(self.items)) - np.repeat(self.offsets[:-1], self.lengths)

    def of(self, row: int) -> Codes:
        """The items of one slate, best first."""
        return self.items[self.offsets[row] : self.offsets[row + 1]]

    def at(self, positions: Array, lengths: Array) -> "Slates":
        """The candidates at `positions`, regrouped into slates of the given `lengths`."""
        return Slates(
            offsets_of(lengths),
            self.items[positions],
            self.scores[positions],
            {name: column[positions] for name, column in self.columns.items()},
        )

    def where(self, keep: Bools) -> "Slates":
        """Only the candidates where `keep` (N,) holds; their order stays."""
        return self.at(np.flatnonzero(keep), np.bincount(self.rows()[keep], minlength=len(self)))

    def take(self, rows: Array) -> "Slates":
        """The chosen slates, in the order asked."""
        lengths = self.lengths[rows]
        return self.at(spans(self.offsets[:-1][rows], lengths), lengths)

    def head(self, counts: Array | int) -> "Slates":
        """The first `counts` candidates of each slate."""
        if (self.lengths <= counts).all():
            return self
        lengths = np.minimum(self.lengths, counts)
        return self.at(spans(self.offsets[:-1], lengths), lengths)

    def ordered(self) -> "Slates":
        """By score, best first; ties go to the lower code, NaN goes last."""
        order = np.lexsort((self.items, -self.scores, self.rows()))
        return self.at(order, self.lengths)

    def scored(self, scores: Array) -> "Slates":
        """The same candidates with new scores (N,), in the same order."""
        return replace(self, scores=np.asarray(scores, np.float32))

    def with_column(self, name: str, values: Array) -> "Slates":
        """The same slates with one more column (N,)."""
        return replace(self, columns={**self.columns, name: values})


def concat(parts: list[Slates]) -> Slates:
    """The slates of every part one after another; only columns that all parts have are kept."""
    if len(parts) == 1:
        return parts[0]
    names = set.intersection(*(set(part.columns) for part in parts)) if parts else set()
    return Slates(
        offsets_of(np.concatenate([part.lengths for part in parts]) if parts else np.zeros(0, np.int64)),
        np.concatenate([part.items for part in parts]) if parts else np.zeros(0, np.int32),
        np.concatenate([part.scores for part in parts]) if parts else np.zeros(0, np.float32),
        {name: np.concatenate([part.columns[name] for part in parts]) for name in sorted(names)},
    )


def mask_block(scores_BI: Scores, queries: Queries) -> Scores:
    """Set to -inf, in place, what the rules forbid and what each query excludes; gives the block back.

    Codes at or above the width of the block, and -1, are passed over.
    """
    width = scores_BI.shape[1]
    masks, groups = queries.allowed.masks[:, :width], queries.allowed.groups
    for group in set(groups.tolist()):
        if not masks[group].all():
            scores_BI[np.ix_(groups == group, ~masks[group])] = -np.inf
    known = (queries.exclude.values >= 0) & (queries.exclude.values < width)
    scores_BI[queries.exclude.rows()[known], queries.exclude.values[known]] = -np.inf
    return scores_BI


def top(scores_BI: Scores, take: int) -> Slates:
    """The best `take` columns of every row of a block, as slates; column = item code.

    Exact: ties go to the lower code. What scores -inf or NaN is never taken, so a slate may be short.
    Cost: one partition of the block's values and one pass that compares them with the cut.
    """
    count, width = scores_BI.shape
    take = min(take, width)
    if take == 0 or count == 0:
        return Slates.empty(count)
    clean = np.asarray(scores_BI, np.float32)
    if np.isnan(clean.max()):
        clean = np.where(np.isnan(clean), np.float32(-np.inf), clean)
    # Negated, because NumPy's partition takes twenty times as long where many equal values stand first.
    cut_B1 = -np.partition(-clean, take - 1, axis=1)[:, take - 1, None]
    cut_B1 = np.maximum(cut_B1, np.finfo(np.float32).min)
    chosen = clean >= cut_B1
    # Flat places and a division: several times quicker than the places of a block by row and column.
    rows, items = np.divmod(np.flatnonzero(chosen), width)
    over = np.flatnonzero(np.bincount(rows, minlength=count) > take)
    if len(over):
        chosen[over] = _cut_ties(clean[over], cut_B1[over], take)
        rows, items = np.divmod(np.flatnonzero(chosen), width)
    values = clean[rows, items]
    order = np.lexsort((-values, rows))
    return Slates(
        offsets_of(np.bincount(rows, minlength=count)), items[order].astype(np.int32), values[order]
    )


def _cut_ties(scores_BI: Scores, cut_B1: Scores, take: int) -> Bools:
    """What is above the cut, and as many of the ties at it, lowest codes first, as still fit."""
    above, tied = scores_BI > cut_B1, scores_BI == cut_B1
    room = take - above.sum(axis=1, keepdims=True)
    chosen: Bools = above | (tied & (np.cumsum(tied, axis=1, dtype=np.int32) <= room))
    return chosen


def ragged_of(slates: Slates) -> Ragged:
    """The items of every slate as ragged lists."""
    return Ragged(slates.offsets, slates.items)


def append(slates: Slates, found: Slates) -> Slates:
    """`slates` followed by what `found` brings new, row by row; missing column values are NaN.

    An item that both have keeps its place and score in `slates`; its columns from `found` are filled in
    where `slates` has none.
    """
    if not len(slates.items):
        return found
    width = int(max(slates.items.max(initial=0), found.items.max(initial=0))) + 1
    ours = slates.rows() * width + slates.items
    theirs = found.rows() * width + found.items
    order = np.argsort(ours, kind="stable")
    spot = np.minimum(np.searchsorted(ours[order], theirs), len(ours) - 1)
    home = order[spot]
    new = ours[home] != theirs
    rows = np.concatenate([slates.rows(), found.rows()[new]])
    places = np.argsort(rows, kind="stable")
    columns: dict[str, Array] = {}
    for name in sorted({*slates.columns, *found.columns}):
        left = slates.columns.get(name, np.full(len(ours), np.nan, np.float32)).copy()
        right = found.columns.get(name, np.full(len(theirs), np.nan, np.float32))
        if name not in slates.columns:
            left[home[~new]] = right[~new]
        columns[name] = np.concatenate([left, right[new]])[places]
    return Slates(
        offsets_of(np.bincount(rows, minlength=len(slates))),
        np.concatenate([slates.items, found.items[new]])[places],
        np.concatenate([slates.scores, found.scores[new]])[places],
        columns,
    )
