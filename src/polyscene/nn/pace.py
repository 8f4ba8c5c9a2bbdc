"""How far a training is, by steps or by the clock."""

import math
import time
from typing import Literal

ScheduleKind = Literal["cosine", "linear", "inverse_root", "constant"]


class Pace:
    """How far a training is, from 0 to 1: by steps, or by the clock once all steps would not fit.

    Steps alone decide as long as the budget is ample, so that equal seeds give equal weights. A training
    that goes on from a checkpoint has used up what it used before.
    """

    TRIAL = 20
    """Steps before the speed is trusted."""

    def __init__(self, steps: int, budget_s: float | None) -> None:
        self.steps = steps
        self.budget_s = budget_s
        self.reserve_s = 0.0
        """Kept back for the last validation."""
        self._began = time.monotonic()
        self._short = False

    def at(self, step: int) -> float:
        """The share done when `step` steps are."""
        share = step / self.steps
        clock = self._clock()
        self._short |= clock >= 1 or (step >= self.TRIAL and clock > share)
        return min(1.0, max(share, clock)) if self._short else share

    def spent(self, step: int) -> bool:
        """Whether the budget ran out with steps still to make."""
        return step < self.steps and self._clock() >= 1

    def facts(self) -> dict[str, float | bool]:
        """What `restore` needs, as JSON data."""
        used_s = time.monotonic() - self._began
        return {"used_s": used_s, "reserve_s": self.reserve_s, "short": self._short}

    def restore(self, facts: dict[str, float | bool]) -> None:
        """Goes on from where the training with these facts was."""
        self._began = time.monotonic() - float(facts["used_s"])
        self.reserve_s = float(facts["reserve_s"])
        self._short = bool(facts["short"])

    def _clock(self) -> float:
        if self.budget_s is None:
            return 0.0
        return (time.monotonic() - self._began) / max(self.budget_s - self.reserve_s, 1e-9)


def rate(share: float, warm_up: float, schedule: ScheduleKind = "cosine") -> float:
    """What part of the learning rate holds at `share` of a training: up a line, then down by the schedule.

    Cosine and line end at 0, ``"inverse_root"`` falls with the root of what was done (Vaswani et al. 2017),
    ``"constant"`` stays.
    """
    if share < warm_up:
        return share / warm_up
    done = (share - warm_up) / (1 - warm_up)
    match schedule:
        case "cosine":
            return 0.5 * (1 + math.cos(math.pi * done))
        case "linear":
            return 1 - done
        case "inverse_root":
            return math.sqrt(max(warm_up, 1e-3) / max(share, 1e-3))
        case "constant":
            return 1.0
