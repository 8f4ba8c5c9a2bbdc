"""Users' events in memory: read from the log on first use, then kept true as events arrive."""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from threading import Lock

import numpy as np

from polyscene.core.arrays import Array, Codes, Times
from polyscene.core.queries import HISTORY_COLUMNS
from polyscene.dataset.names import Names
from polyscene.events.event import Event
from polyscene.events.log import LogReader

ROWS = 1_000
"""Newest events of a user that stay in memory; older ones are read from the log when asked for."""
USERS = 20_000
"""Users whose events stay in memory; the least recently asked for makes room."""

HistoryRows = Mapping[str, Array]
"""One history, oldest first: the columns of `HISTORY_COLUMNS`, equally long."""


@dataclass(frozen=True, slots=True)
class Past:
    """One user's events by time then log position, oldest first; never changed.

    Shapes: `rows` and `position` (n,); `seen` the distinct items of all events, rising. `whole`: the rows
    are all there are; otherwise the newest.
    """

    rows: HistoryRows
    position: Times
    seen: Codes
    whole: bool = True

    @property
    def newest(self) -> int:
        """Position of the event that came last; 0 if there is none."""
        return int(self.position.max(initial=0))

    def plus(self, row: Mapping[str, float], position: int) -> "Past":
        """With one more event; it may be dated before others."""
        place = int(np.searchsorted(self.rows["time"], row["time"], side="right"))
        item = row["item"]
        spot = int(np.searchsorted(self.seen, item))
        known = spot < len(self.seen) and self.seen[spot] == item
        return Past(
            {name: np.insert(column, place, row[name]) for name, column in self.rows.items()},
            np.insert(self.position, place, position),
            self.seen if known else np.insert(self.seen, spot, item),
            self.whole,
        )

    def tail(self, count: int) -> "Past":
        """With the newest `count` rows only."""
        drop = len(self.position) - count
        if drop <= 0:
            return self
        rows = {name: column[drop:] for name, column in self.rows.items()}
        return Past(rows, self.position[drop:], self.seen, whole=False)

    def until(self, position: int) -> "Past":
        """As of an earlier log position; right only if the rows are whole."""
        keep = self.position <= position
        rows = {name: column[keep] for name, column in self.rows.items()}
        return Past(rows, self.position[keep], np.unique(rows["item"]), self.whole)


NOTHING = Past(
    {name: np.zeros(0, dtype) for name, dtype in HISTORY_COLUMNS.items()},
    np.zeros(0, np.int64),
    np.zeros(0, np.int32),
)
"""The past of somebody unknown."""


class Pasts:
    """Gives the past of any user as of any position that was absorbed; any thread may ask."""

    def __init__(self, log: LogReader, names: Names) -> None:
        self._log = log
        self._names = names
        self._kept: OrderedDict[int, Past] = OrderedDict()
        self._position = 0
        self._lock = Lock()

    def of(self, user: str, position: int, last: int = 0) -> Past:
        """What `user` did up to `position`; at least the `last` newest rows, and all items seen."""
        code = self._names.users.code(user)
        if code < 0:
            return NOTHING
        past = self._recall(code) or self._learn(user, code)
        if past.newest > position:
            past = past.until(position) if past.whole else self._read(user, position)
        if last > len(past.position) and not past.whole:
            past = self._read(user, position)
        return past

    def absorb(self, events: Sequence[tuple[int, Event]], position: int) -> None:
        """Adds new events of users in memory; everything up to `position` is then known."""
        names = self._names
        with self._lock:
            for at, event in events:
                code = names.users.code(event.user)
                past = self._kept.get(code)
                if past is not None:
                    self._kept[code] = past.plus(names.row(event), at).tail(ROWS)
            self._position = position

    def forget(self, code: int) -> None:
        """Drops a user's rows."""
        with self._lock:
            self._kept.pop(code, None)

    def clear(self, position: int) -> None:
        """Drops all rows; what is read from now on is true for `position`."""
        with self._lock:
            self._kept.clear()
            self._position = position

    def _recall(self, code: int) -> Past | None:
        with self._lock:
            past = self._kept.get(code)
            if past is not None:
                self._kept.move_to_end(code)
            return past

    def _learn(self, user: str, code: int) -> Past:
        position = self._position
        past = self._read(user, position)
        with self._lock:
            if self._position == position:  # else an event may have come that this reading lacks
                self._kept[code] = past.tail(ROWS)
                if len(self._kept) > USERS:
                    self._kept.popitem(last=False)
        return past

    def _read(self, user: str, position: int) -> Past:
        columns = self._log.columns(position, user)
        rows = {name: getattr(columns, name).astype(dtype) for name, dtype in HISTORY_COLUMNS.items()}
        return Past(rows, columns.position, np.unique(columns.item))
