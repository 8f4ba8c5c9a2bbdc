"""Numbers behind the plots of the report, small enough to print."""

from dataclasses import dataclass

import numpy as np

from polyscene.core.arrays import Array
from polyscene.evaluate.beyond import ItemFacts
from polyscene.evaluate.intervals import intervals
from polyscene.evaluate.ranking import Ranking

RANK_EDGES = (1, 3, 10, 30, 100, 300, 1000)
"""Last place, counted from 1, of each column of the rank histogram."""
CURVE_POINTS = 101


@dataclass(frozen=True, slots=True)
class Point:
    """A mean with its interval, for one group of `count` queries."""

    label: str
    count: int
    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Charts:
    """One answerer's series.

    `tail` and `taste` (P, 2): share of items, most touched first, and the share of what was shown (or of
    what people touched) that falls on them. `places`: label and share of targets. `by_history`: the main
    metric by length of history.
    """

    tail: Array
    taste: Array
    places: tuple[tuple[str, float], ...]
    by_history: tuple[Point, ...]


def charts(ranking: Ranking, facts: ItemFacts, values: Array, lengths: Array, k: int) -> Charts:
    """All series of one ranking; `values` (B,) the main metric, `lengths` (B,) of the histories."""
    shown = np.bincount(ranking.slates.head(k).items, minlength=len(facts.touched))
    return Charts(
        _tail(shown, facts), _tail(facts.touched, facts), _places(ranking), _by_history(values, lengths)
    )


def _tail(counts: Array, facts: ItemFacts) -> Array:
    order = np.flatnonzero(facts.showable)
    order = order[np.argsort(-facts.touched[order], kind="stable")]
    total = np.concatenate([[0.0], np.cumsum(counts[order])])
    spots = np.linspace(0, len(order), CURVE_POINTS).astype(np.int64)
    return np.stack([spots / max(1, len(order)), total[spots] / max(1.0, total[-1])], axis=1)


def _places(ranking: Ranking) -> tuple[tuple[str, float], ...]:
    """Shares of targets by place, in bins that grow threefold; ``never``: not reached."""
    labels = ["1", *(f"≤ {edge}" for edge in RANK_EDGES[1:]), "below", "never"]
    reached = ranking.reached()
    bins = np.searchsorted(np.array(RANK_EDGES), ranking.ranks.values + 1)
    bins = np.where(reached, bins, len(RANK_EDGES) + 1)
    shares = np.bincount(bins, minlength=len(labels)) / max(1, len(bins))
    return tuple((label, float(share)) for label, share in zip(labels, shares, strict=True))


def _by_history(values: Array, lengths: Array, groups: int = 5) -> tuple[Point, ...]:
    """Mean per group of about equally many queries; fewer groups where lengths repeat."""
    if not len(values):
        return ()
    edges = np.unique(np.quantile(lengths, np.linspace(0, 1, groups + 1)).astype(np.int64))
    group = np.clip(np.searchsorted(edges, lengths, side="right") - 1, 0, max(0, len(edges) - 2))
    points = []
    for at in np.unique(group):
        mine = group == at
        low, high = intervals({"x": values[mine]}, samples=400)["x"]
        first, last = int(lengths[mine].min()), int(lengths[mine].max())
        label = str(first) if first == last else f"{first}-{last}"
        points.append(Point(label, int(mine.sum()), float(np.nanmean(values[mine])), low, high))
    return tuple(points)
