"""Plain sentences about a result that a person should not take at face value."""

from collections.abc import Mapping

import numpy as np

from polyscene.core.arrays import Array
from polyscene.evaluate.intervals import Comparison
from polyscene.evaluate.ranking import Ranking

TOO_GOOD = 0.8
"""No honest next-item ndcg@10 over a full catalogue is known to come near this."""
FEW_QUERIES = 200
"""Below this the standard error of a hit rate is above 0.02."""
MANY_NEW = 0.1
"""Share of held-out items without any event to learn from that is worth a word."""


def below_baselines(
    model: str, metric: str, ours: float, theirs: Mapping[str, float], gaps: Mapping[str, Comparison]
) -> list[str]:
    """A line for each baseline whose `metric` the model does not reach, with the paired interval.

    `gaps` holds model minus baseline. Where the interval spans 0 the line says so.
    """
    lines = []
    for name, gap in gaps.items():
        if not gap.difference < 0:
            continue
        verdict = "is below" if gap.high < 0 else "is not above"
        chance = "" if gap.high < 0 else "; the gap may be chance"
        lines.append(
            f"{model} {verdict} {name}: {metric} {ours:.4f} against {theirs[name]:.4f}, difference "
            f"{gap.difference:+.4f} [{gap.low:+.4f}, {gap.high:+.4f}], p {gap.p:.3f}{chance}; tune it or "
            f"use {name}"
        )
    return lines


def suspicious(metric: str, value: float, ranking: Ranking, touched: Array) -> list[str]:
    """Lines about a split that can't carry the figure: a leak, too few queries, too many new items.

    `touched` (I,): how many people touched each item in the data that was learned from.
    """
    lines = []
    if value >= TOO_GOOD and np.median(ranking.candidates) >= 100:
        lines.append(
            f"{metric} is {value:.2f}, too good for {int(np.median(ranking.candidates)):,} candidates: "
            "look for a leak (a copy of the answer in the history, an attribute written after the event, "
            "a time that is not the event's)"
        )
    if len(ranking.candidates) < FEW_QUERIES:
        lines.append(
            f"only {len(ranking.candidates)} queries: read the intervals first, or take another protocol"
        )
    known = ranking.targets.values[ranking.targets.values >= 0]
    new = 1 - float((touched[known] > 0).sum()) / max(1, len(ranking.targets.values))
    if new >= MANY_NEW:
        lines.append(
            f"{new:.0%} of the held-out items have no event to learn from: only content or freshness can "
            "reach them"
        )
    return lines
