"""Users' interactions in memory: read from the log on first use, then kept true as events arrive."""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from threading import Lock

import numpy as np

from polyscene.core.arrays import Array, Codes, Times
from polyscene.core.queries import HISTORY_COLUMNS
from polyscene.dataset.guests import Guests
from polyscene.dataset.names import Names
from polyscene.events.event import IMPRESSION, Erasure, Event, Merge, Record
from polyscene.events.log import LogReader

ROWS = 1_000
"""Newest events of a user that stay in memory; older ones are read from the log when asked for."""
USERS = 20_000
"""Users whose events stay in memory; the least recently asked for makes room."""

EVERYTHING = 1 << 62
"""More rows than any user has."""
_COLUMNS = ("position", *HISTORY_COLUMNS)
HistoryRows = Mapping[str, Array]
"""One history, oldest first: the columns of `HISTORY_COLUMNS`, equally long."""


@dataclass(frozen=True, slots=True)
class Past:
    """What one person did, by time then log position, oldest first; never changed.

    Shapes: `rows` and `position` (n,); `seen` the distinct items of all rows, rising. `whole`: the rows
    are all there are; otherwise the newest. `settled`: position of the last merge of guests; as of an
    earlier one this was the past of several people.
    """

    rows: HistoryRows
    position: Times
    seen: Codes
    whole: bool = True
    settled: int = 0

    @property
    def newest(self) -> int:
        """Position of the event that came last; 0 if there is none."""
        return int(self.position.max(initial=0))

    def plus(self, news: Sequence[tuple[int, Mapping[str, float]]]) -> "Past":
        """With more events, each a log position and a row; they may be dated before others."""
        more = {name: [row[name] for _, row in news] for name in self.rows}
        rows = {
            name: np.concatenate([self.rows[name], np.array(more[name], dtype)])
            for name, dtype in HISTORY_COLUMNS.items()
        }
        position = np.concatenate([self.position, np.array([at for at, _ in news], np.int64)])
        order = np.lexsort((position, rows["time"]))
        return replace(
            self,
            rows={name: column[order] for name, column in rows.items()},
            position=position[order],
            seen=np.union1d(self.seen, rows["item"][len(self.position) :]),
        )

    def tail(self, count: int) -> "Past":
        """With the newest `count` rows only."""
        drop = len(self.position) - count
        if drop <= 0:
            return self
        rows = {name: column[drop:] for name, column in self.rows.items()}
        return replace(self, rows=rows, position=self.position[drop:], whole=False)

    def until(self, position: int) -> "Past":
        """As of an earlier log position; right if the rows are whole and no merge came after it."""
        keep = self.position <= position
        rows = {name: column[keep] for name, column in self.rows.items()}
        return replace(self, rows=rows, position=self.position[keep], seen=np.unique(rows["item"]))


NOTHING = Past(
    {name: np.zeros(0, dtype) for name, dtype in HISTORY_COLUMNS.items()},
    np.zeros(0, np.int64),
    np.zeros(0, np.int32),
)
"""The past of somebody unknown."""


class Pasts:
    """Gives the past of any user as of any position that was absorbed; any thread may ask.

    A guest and the user it was merged into have one past from the merge's position on, and two before.
    Impressions are no acts of a user: no past holds them.
    """

    def __init__(self, log: LogReader, names: Names) -> None:
        self.guests = Guests()
        self._log = log
        self._names = names
        self._kept: OrderedDict[int, Past] = OrderedDict()
        self._news: dict[int, list[tuple[int, Mapping[str, float]]]] = {}
        self._position = 0
        self._lock = Lock()

    def of(self, user: str, position: int, last: int = 0) -> Past:
        """What `user` did up to `position`; at least the `last` newest rows, and all items seen."""
        code = self._names.users.code(user)
        if code < 0:
            return NOTHING
        past = self._recall(code) or self._learn(code)
        late = past.newest > position
        short = last > len(past.position)
        if position < past.settled or ((late or short) and not past.whole):
            return self._read(self.guests.group(code, position), position)
        return past.until(position) if late else past

    def absorb(self, records: Sequence[tuple[int, Record]], position: int) -> None:
        """Takes in new records; everything up to `position` is then known."""
        with self._lock:
            for at, record in records:
                match record:
                    case Event():
                        self._add(at, record)
                    case Merge():
                        self._merge(at, record)
                    case Erasure():
                        self._drop(self.guests.person(record.user_code))
                        self.guests.forget(record.user_code)
            self._position = position

    def restart(self, merges: Sequence[tuple[int, Merge]], position: int) -> None:
        """Drops all rows; what is read from now on is true for `position` and the `merges` up to it."""
        with self._lock:
            self._kept.clear()
            self._news.clear()
            self.guests = Guests()
            for at, merge in merges:
                self._merge(at, merge)
            self._position = position

    def _add(self, at: int, event: Event) -> None:
        code = self._names.users.code(event.user)
        if code < 0 or event.action == IMPRESSION:
            return
        person = self.guests.person(code)
        if person in self._kept:
            news = self._news.setdefault(person, [])
            news.append((at, self._names.row(event)))
            if len(news) > ROWS:  # nobody asks for this user
                self._drop(person)

    def _merge(self, at: int, merge: Merge) -> None:
        guest, target = self._names.users.code(merge.source), self._names.users.code(merge.target)
        if self.guests.merge(guest, target, at):
            self._drop(guest)
            self._drop(self.guests.person(target))

    def _drop(self, person: int) -> None:
        self._kept.pop(person, None)
        self._news.pop(person, None)

    def _recall(self, code: int) -> Past | None:
        with self._lock:
            person = self.guests.person(code)
            past = self._kept.get(person)
            if past is None:
                return None
            news = self._news.pop(person, None)
            if news:
                past = self._kept[person] = past.plus(news).tail(ROWS)
            self._kept.move_to_end(person)
            return past

    def _learn(self, code: int) -> Past:
        with self._lock:
            position = self._position
            group = self.guests.group(code, position)
        past = self._read(group, position)
        with self._lock:
            if self._position == position:  # else an event may have come that this reading lacks
                self._kept[group[0]] = past.tail(ROWS)
                self._news.pop(group[0], None)
                if len(self._kept) > USERS:
                    self._drop(next(iter(self._kept)))
        return past

    def _read(self, group: Sequence[int], position: int) -> Past:
        """The past of a group of codes as the log tells it."""
        names, impression = self._names, self._names.action(IMPRESSION)
        parts = [self._log.columns(position, name) for name in names.users.ids_of(np.array(group))]
        columns = {name: np.concatenate([getattr(part, name) for part in parts]) for name in _COLUMNS}
        order = np.lexsort((columns["position"], columns["time"]))
        order = order[columns["action"][order] != impression]
        rows = {name: columns[name][order].astype(dtype) for name, dtype in HISTORY_COLUMNS.items()}
        positions, seen = columns["position"][order], np.unique(rows["item"])
        return Past(rows, positions, seen, settled=self.guests.settled(group))
