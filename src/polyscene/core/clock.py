"""Time: the one clock a program may read, and how people write times and durations."""

import time
from datetime import UTC, datetime
from typing import Protocol

from polyscene.core.errors import InputError

SECOND_MS = 1_000
DAY_MS = 86_400 * SECOND_MS


class Clock(Protocol):
    """Tells the present; everything that needs it takes one of these."""

    def now(self) -> int:
        """UTC milliseconds since 1970."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> int:
        """UTC milliseconds since 1970."""
        return time.time_ns() // 1_000_000


class FixedClock:
    """A clock that a test moves by hand."""

    def __init__(self, at: int) -> None:
        self.at = at

    def now(self) -> int:
        """The time it was last set to."""
        return self.at


def parse_time(text: str | int | float) -> int:
    """UTC ms from an ISO 8601 text (no zone means UTC) or from a number of ms.

    Raises:
        InputError: The text is no time.
    """
    if isinstance(text, int | float):
        return int(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as problem:
        raise InputError(
            f"time: {text!r} is not ISO 8601 such as '2026-01-31T12:00:00Z', nor a number of milliseconds"
        ) from problem
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * SECOND_MS)


def show_time(at: int) -> str:
    """ISO 8601 in UTC, to the millisecond."""
    return datetime.fromtimestamp(at / SECOND_MS, UTC).isoformat(timespec="milliseconds")
