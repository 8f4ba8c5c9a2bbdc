"""How often somebody may come: token buckets by name."""

from collections import OrderedDict

MOST = 4_096
"""Buckets that are kept; the one that was idle longest is forgotten, which is to say full again."""


class Buckets:
    """A bucket of `burst` tokens by name, refilled at `rate` a second; a request takes one."""

    def __init__(self) -> None:
        self._levels: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait(self, name: str, rate: float, burst: float, now: float) -> float:
        """Seconds until the next token; 0 when one was there and was taken. `now` is monotonic seconds."""
        tokens, seen = self._levels.pop(name, (burst, now))
        tokens = min(burst, tokens + (now - seen) * rate)
        lacking = 0.0 if tokens >= 1 else (1 - tokens) / rate
        self._levels[name] = (tokens if lacking else tokens - 1, now)
        if len(self._levels) > MOST:
            self._levels.popitem(last=False)
        return lacking
