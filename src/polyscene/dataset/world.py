"""The live state over an event log: codes, catalogue, users' histories; as of now or of any position."""

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from threading import Lock, RLock

import numpy as np

from polyscene.core.arrays import Bools, Codes
from polyscene.core.catalogue import Catalogue, ColumnType
from polyscene.core.contracts import Data, Edges
from polyscene.core.errors import DataError, InputError, NotFoundError
from polyscene.core.queries import HISTORY_COLUMNS
from polyscene.dataset.catalogue import catalogue_as_of
from polyscene.dataset.codemap import CodeMap
from polyscene.dataset.encode import coded_edges, first_times, group
from polyscene.dataset.guests import Guests
from polyscene.dataset.live import LiveCatalogue, check_types
from polyscene.dataset.moment import Moment
from polyscene.dataset.names import Names
from polyscene.dataset.pasts import HistoryRows, Pasts
from polyscene.dataset.people import People, people_of
from polyscene.dataset.times import EARLIEST
from polyscene.events.event import IMPRESSION, Erasure, Event, ItemPut, Record, UserPut
from polyscene.events.log import Columns, LogReader

CHUNK = 10_000
FAR_BEHIND = 200_000
"""Records behind the log from which on it is quicker to start afresh."""
MOMENTS = 8
"""Past moments that stay in memory."""
_ENDS = ("source", "relation", "target")


class World:
    """Mirrors a log that somebody else appends to.

    `refresh` absorbs what is new and may be called from any thread. Readers take `now` once per request;
    the same names on the world itself always speak of the newest moment, so a world is also a `View`.
    """

    def __init__(self, log: LogReader) -> None:
        self._log = log
        self._names = Names(log)
        self._pasts = Pasts(log, self._names)
        self._writing = RLock()
        self._moments: dict[int, Moment] = {}
        self._moments_lock = Lock()
        self._start()

    @classmethod
    def open(cls, log: LogReader) -> "World":
        """The world as the log tells it by now."""
        return cls(log)

    @property
    def now(self) -> Moment:
        """The newest moment; hold on to it for as long as one answer takes."""
        return self._now

    @property
    def view(self) -> "World":
        """The live sight that parts read their catalogue from."""
        return self

    @property
    def position(self) -> int:
        """Log position up to which everything is absorbed."""
        return self._now.position

    @property
    def problems(self) -> tuple[str, ...]:
        """The newest faults met in item puts, such as an attribute whose type changed."""
        return (*self._live.problems, *self._people.problems)

    @property
    def codes(self) -> CodeMap:
        """The item ids as of now."""
        return self._now.codes

    @property
    def users(self) -> CodeMap:
        """The user ids."""
        return self._now.users

    @property
    def catalogue(self) -> Catalogue:
        """The items as of now."""
        return self._now.catalogue

    @property
    def people(self) -> Catalogue:
        """What users say of themselves as of now, by user code."""
        return self._now.people

    @property
    def actions(self) -> tuple[str, ...]:
        """Names behind the action column of histories."""
        return self._now.actions

    @property
    def scenarios(self) -> tuple[str, ...]:
        """Names behind the scenario column of histories."""
        return self._now.scenarios

    def user(self, user: str) -> int:
        """The code that a user id answers as; -1 if unknown."""
        return self._now.user(user)

    def history(self, user: str, last: int) -> HistoryRows:
        """The newest `last` events of a user, oldest first; empty if unknown."""
        return self._now.history(user, last)

    def seen(self, user: str) -> Codes:
        """(n,) codes of all items the user ever interacted with, rising; empty if unknown."""
        return self._now.seen(user)

    def check(self, puts: Sequence[ItemPut] | Sequence[UserPut]) -> None:
        """Passes if all attributes have the types that earlier items, or users, have there.

        To be called before an append. Raises InputError where one differs; it names who and which.
        """
        items, users = self._types()
        check_types([put for put in puts if isinstance(put, ItemPut)], items)
        check_types([put for put in puts if isinstance(put, UserPut)], users, "user")

    def clashes(self, puts: Mapping[int, ItemPut | UserPut]) -> dict[int, str]:
        """What is wrong with each of several puts, taken in this order without those that are refused."""
        items, users = self._types()
        found = {}
        for key, put in puts.items():
            try:
                if isinstance(put, ItemPut):
                    items = check_types([put], items)
                else:
                    users = check_types([put], users, "user")
            except InputError as error:
                found[key] = str(error)
        return found

    def _types(self) -> tuple[dict[str, ColumnType], dict[str, ColumnType]]:
        with self._writing:
            return self._live.types(), self._people.types()

    def refresh(self, upto: int | None = None) -> int:
        """Absorbs what the log got since the last call; gives the number of records.

        Args:
            upto: A position that will do. Of many who wait with one each, most find it absorbed already.

        Raises:
            StoreError: The log can't be read; the world stays as it was.
        """
        if upto is not None and upto <= self.position:
            return 0
        with self._writing:
            if upto is not None and upto <= self.position:
                return 0
            if (self._log.position if upto is None else upto) - self.position > FAR_BEHIND:
                before = self.position
                self._start()
                return self.position - before
            absorbed, position = 0, self.position
            more = True
            while more and (records := self._log.read(position, CHUNK)):
                position = records[-1][0]
                absorbed += len(records)
                self._absorb(records, position)
                more = len(records) == CHUNK
            if absorbed:
                self._now = self._moment(position, self._live.snapshot(), self._people.snapshot())
            return absorbed

    def as_of(self, position: int) -> Moment:
        """The world as it was when the log ended at `position`: what a replay looks at.

        Raises:
            NotFoundError: The log doesn't reach that far.
        """
        if position > self.position:
            self.refresh()
        now = self._now
        if position > now.position:
            raise NotFoundError(
                f"world: the log ends at {now.position}, there is no position {position} yet"
            )
        if position == now.position:
            return now
        if position >= self._changed:
            return replace(now, position=position)
        with self._moments_lock:
            if position not in self._moments:
                columns, puts = self._log.columns(position), self._log.item_puts(position)
                items, said = self._catalogue(columns, puts), self._log.user_puts(until=position)
                people = people_of(said, self._names.users, self._pasts.guests, position)
                self._moments[position] = self._moment(position, items.snapshot(), people.snapshot())
                if len(self._moments) > MOMENTS:
                    del self._moments[next(iter(self._moments))]
            return self._moments[position]

    def data(self, at: int | None = None) -> Data:
        """All that is known, for training; with `at` (UTC ms) only what is dated before it.

        Codes are the log's; guests stand under the user they were merged into. The clock is taken to be
        missing where all times are small numbers.

        Raises:
            DataError: There are no interactions.
        """
        now = self._now
        columns = self._log.columns(now.position)
        catalogue = now.catalogue
        if at is not None:
            columns = _only(columns, columns.time < at)
            puts = [(place, put) for place, put in self._log.item_puts(now.position) if put.time < at]
            catalogue = self._catalogue(columns, puts, catalogue.size).snapshot()
        columns = _only(columns, columns.action != self._names.action(IMPRESSION))
        if not len(columns):
            when = "" if at is None else f" before {at}"
            raise DataError(f"log: no events{when}; post events or ingest a data set first")
        rows = {name: getattr(columns, name) for name in HISTORY_COLUMNS}
        guests, said = self._guests(at), self._log.user_puts(until=now.position)
        users, histories = group(guests.people(columns.user), rows, columns.position)
        last = int(columns.time.max())
        return Data(
            users=users,
            histories=histories,
            catalogue=catalogue,
            at=last + 1 if at is None else at,
            clock=last >= EARLIEST,
            actions=now.actions,
            scenarios=now.scenarios,
            edges=self._edges(at),
            people=people_of(
                [each for each in said if at is None or each[1].time < at], self._names.users, guests
            ).snapshot(),
        )

    def _guests(self, at: int | None) -> Guests:
        """The merges as of now, or of those only that are dated before `at`."""
        guests, users = Guests(), self._names.users
        for place, merge in self._log.merges(self.position):
            if at is None or merge.time < at:
                guests.merge(users.code(merge.source), users.code(merge.target), place)
        return guests

    def _edges(self, at: int | None) -> Edges | None:
        """The edges that hold, by the order in which they were first put; None where there are none."""
        last = {
            (put.source, put.relation, put.target): put
            for _, put in self._log.edge_puts(self.position)
            if at is None or put.time < at
        }
        held = [put for put in last.values() if not put.delete]
        if not held:
            return None
        ends = {name: np.array([getattr(put, name) for put in held], object) for name in _ENDS}
        weight = np.array([put.weight for put in held], np.float32)
        edges = coded_edges(ends, weight, self._names.items, self._names.users)
        people = self._guests(at).people(np.maximum(edges.users, 0))
        return replace(edges, users=np.where(edges.users < 0, edges.users, people))

    def _start(self) -> None:
        self._forget_moments()
        position = self._log.position
        columns, puts = self._log.columns(position), self._log.item_puts(position)
        self._names.mirror()
        self._live = self._catalogue(columns, puts)
        merges, said = self._log.merges(position), self._log.user_puts(until=position)
        self._pasts.restart(merges, position)
        self._people = People(self._log, self._names.users, self._pasts.guests, said)
        last = [each[-1][0] for each in (puts, merges, said) if each]
        self._changed = max(_last_first(columns), *last, 0)
        self._now = self._moment(position, self._live.snapshot(), self._people.snapshot())

    def _absorb(self, records: Sequence[tuple[int, Record]], position: int) -> None:
        self._names.learn([record for _, record in records])
        users, items = self._names.users, self._names.items
        events = [each for _, each in records if isinstance(each, Event) and each.user in users]
        codes = items.codes([event.item for event in events])
        touched = self._live.touch(codes, np.array([event.time for event in events], np.int64))
        for _, record in records:
            if isinstance(record, ItemPut):
                self._live.put(items.code(record.id), record)
                touched = True
        self._pasts.absorb(records, position)
        if any(isinstance(record, Erasure) for _, record in records):
            self._forget_moments()
        if self._people.absorb(records, position) or touched:
            self._changed = position

    def _forget_moments(self) -> None:
        """Past moments are made anew when asked for: they may hold words of somebody who was erased."""
        with self._moments_lock:
            self._moments.clear()

    def _moment(self, position: int, catalogue: Catalogue, people: Catalogue) -> Moment:
        names = self._names
        return Moment(
            position=position,
            codes=names.items.prefix(catalogue.size),
            users=names.users,
            catalogue=catalogue,
            people=people,
            actions=names.actions,
            scenarios=names.scenarios,
            pasts=self._pasts,
        )

    def _catalogue(
        self, columns: Columns, puts: Sequence[tuple[int, ItemPut]], size: int = 0
    ) -> LiveCatalogue:
        codes = self._names.items.codes([put.id for _, put in puts])
        size = max(size, int(columns.item.max(initial=-1)) + 1, int(codes.max(initial=-1)) + 1)
        records = zip(codes.tolist(), (put for _, put in puts), strict=True)
        return catalogue_as_of(records, first_times(columns.item, columns.time, size))


def _only(columns: Columns, keep: Bools) -> Columns:
    return Columns(**{column.name: getattr(columns, column.name)[keep] for column in fields(Columns)})


def _last_first(columns: Columns) -> int:
    """Position of the last event that told when an item was first seen; the catalogue is older."""
    first = first_times(columns.item, columns.time, int(columns.item.max(initial=-1)) + 1)
    tells = np.flatnonzero(columns.time == first[columns.item])
    told = np.unique(columns.item[tells], return_index=True)[1]
    return int(columns.position[tells[told]].max(initial=0))
