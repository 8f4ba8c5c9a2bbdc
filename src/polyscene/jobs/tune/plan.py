"""Who is tried next, what is left of the time, and who is chosen: rules over what was tried so far."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from polyscene.jobs.tune.journal import Tried

FINALISTS = 3
"""Kinds that share the second half of the time: those with the best scores of the first."""
BEGINNINGS = 0.75
"""Share of the time that is left which those that have not begun may take to begin."""
SLACK = 1.3
"""What the fits for the test part may take, compared with those on the validation part."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a search may take: seconds in all, trials of a kind, workers, CPU ms of a request."""

    budget_s: float
    trials: int
    workers: int = 1
    latency_ms: float | None = None


class Plan:
    """The time of a search, shared out among its kinds.

    Each kind first tries its defaults, and may take its share of what is left for that: one that can't is
    left out. The table of spaces names quick kinds first, so what they don't need goes to the slow ones.
    Then the kind on which least time was spent goes on, until half of the time is used up; after that only
    the `FINALISTS` do. The time that the fits for the test part will take is kept back.
    """

    def __init__(self, kinds: Sequence[str], limits: Limits) -> None:
        self.kinds, self.limits = tuple(kinds), limits

    def first_s(self, tried: Sequence[Tried], left_s: float) -> float:
        """Seconds that the next kind's first trial may take; its fit for the test part is to fit in too."""
        waiting = len(set(self.kinds) - {each.kind for each in tried})
        return BEGINNINGS * left_s * self.limits.workers / max(1, waiting) / (1 + SLACK)

    def left_s(self, tried: Sequence[Tried], used_s: float) -> float:
        """Seconds left to search."""
        ours = [each for each in tried if each.kind in self.kinds]
        fits = [each.seconds for each in ours if not each.settings and each.end == "done"]
        chosen = chosen_of(ours, self.limits.latency_ms)
        fits += [chosen.seconds] if chosen is not None and chosen.settings else []
        # Fits are dealt to the workers, and the longest may come last.
        kept_s = SLACK * max(sum(fits) / self.limits.workers, max(fits, default=0.0))
        return self.limits.budget_s - kept_s - used_s

    def next(
        self, tried: Sequence[Tried], working: Sequence[str], left_s: float, over: Collection[str]
    ) -> str | None:
        """The kind to try next; None where nothing is worth beginning.

        `working`: the kinds of the trials that run. `over`: kinds whose space is used up.
        """
        begun = {each.kind for each in tried} | set(working)
        for kind in self.kinds:
            if kind not in begun:
                return kind
        spent, counts = self._spent(tried)
        able = [
            kind
            for kind in self._in_play(tried, left_s)
            if kind not in over
            and counts[kind] + working.count(kind) < self.limits.trials
            and usual_s(kind, tried) <= left_s
        ]
        # A trial that runs counts as a usual one, or workers would all take the same kind.
        return min(
            able, key=lambda kind: spent[kind] + working.count(kind) * usual_s(kind, tried), default=None
        )

    def _spent(self, tried: Sequence[Tried]) -> tuple[Mapping[str, float], Mapping[str, int]]:
        seconds, counts = dict.fromkeys(self.kinds, 0.0), dict.fromkeys(self.kinds, 0)
        for each in tried:
            if each.kind in seconds:
                seconds[each.kind] += each.seconds
                counts[each.kind] += 1
        return seconds, counts

    def _in_play(self, tried: Sequence[Tried], left_s: float) -> list[str]:
        """Kinds whose beginning was scored; in the second half, the best of them."""
        best = best_by_kind(tried, self.limits.latency_ms)
        scored = {each.kind for each in tried if not each.settings and each.end == "done"}
        able = [kind for kind in self.kinds if kind in scored]
        if left_s > self.limits.budget_s / 2:
            return able
        ranked = sorted(able, key=lambda kind: -(best[kind].score or 0.0) if kind in best else 0.0)
        return ranked[:FINALISTS]


def usual_s(kind: str, tried: Sequence[Tried]) -> float:
    """Seconds that a scored trial of a kind takes, the middle one."""
    taken = [each.seconds for each in tried if each.kind == kind and each.end == "done"]
    return median(taken) if taken else 0.0


def best_by_kind(tried: Sequence[Tried], latency_ms: float | None) -> dict[str, Tried]:
    """The best trial of each kind that may be chosen; of equals the first."""
    found: dict[str, Tried] = {}
    for each in tried:
        if each.within(latency_ms) and (each.kind not in found or _score(each) > _score(found[each.kind])):
            found[each.kind] = each
    return found


def chosen_of(tried: Sequence[Tried], latency_ms: float | None) -> Tried | None:
    """The best trial of all that may be chosen; None where there is none."""
    return max(best_by_kind(tried, latency_ms).values(), key=_score, default=None)


def front_of(tried: Sequence[Tried]) -> list[Tried]:
    """The scored trials that no other beats in both score and CPU time of a request, quickest first."""
    scored = sorted(
        (each for each in tried if each.end == "done"),
        key=lambda each: (each.request_ms or 0.0, -_score(each)),
    )
    front: list[Tried] = []
    for each in scored:
        if not front or _score(each) > _score(front[-1]):
            front.append(each)
    return front


def _score(trial: Tried) -> float:
    return -1.0 if trial.score is None else trial.score
