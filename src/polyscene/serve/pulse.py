"""How late the event loop is: what a request has already waited before anybody looked at it."""

import asyncio
from math import inf
from time import monotonic

BEAT_S = 0.02


class Pulse:
    """A beat on the loop; whatever keeps the loop busy, or off the processor, makes it late."""

    def __init__(self) -> None:
        self._late = 0.0
        self._due = inf
        self._next: asyncio.TimerHandle | None = None

    @property
    def lag_s(self) -> float:
        """Seconds that the last beat came late, or that the next one is overdue."""
        return max(self._late, monotonic() - self._due)

    def start(self) -> None:
        """Begins to beat on the running loop."""
        self._late = max(0.0, monotonic() - self._due)
        self._due = monotonic() + BEAT_S
        self._next = asyncio.get_running_loop().call_later(BEAT_S, self.start)

    def stop(self) -> None:
        """Ends the beat."""
        if self._next is not None:
            self._next.cancel()
        self._late, self._due = 0.0, inf
