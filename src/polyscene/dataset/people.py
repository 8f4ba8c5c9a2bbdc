"""What users say of themselves, as of a log position; a guest speaks for whom it was merged into."""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from polyscene.core.catalogue import Catalogue, ColumnType
from polyscene.dataset.codemap import CodeMap
from polyscene.dataset.guests import ALWAYS, Guests
from polyscene.dataset.live import LiveCatalogue
from polyscene.events.event import Erasure, ItemPut, Merge, Record, UserPut, Value
from polyscene.events.log import LogReader

Puts = Iterable[tuple[int, UserPut]]


class People:
    """The users with attributes, growing; one thread writes and takes snapshots, many read those."""

    def __init__(self, log: LogReader, users: CodeMap, guests: Guests, puts: Puts) -> None:
        self._log, self._users, self._guests = log, users, guests
        self._live = people_of(puts, users, guests)

    @property
    def problems(self) -> deque[str]:
        """The newest faults met in puts, such as an attribute whose type changed."""
        return self._live.problems

    def types(self) -> dict[str, ColumnType]:
        """The type of every attribute met so far."""
        return self._live.types()

    def snapshot(self) -> Catalogue:
        """The users as of now, by code; the same object until something changes."""
        return self._live.snapshot()

    def absorb(self, records: Sequence[tuple[int, Record]], position: int) -> bool:
        """Takes in new records, whose names and merges are known by now; whether they told anything.

        What an erased user said is forgotten by reading all the others anew: no word of it stays.
        """
        if any(isinstance(record, Erasure) for _, record in records):
            self._live = people_of(self._log.user_puts(until=position), self._users, self._guests, position)
            return True
        groups: dict[int, None] = {}
        told = False
        for _, record in records:
            match record:
                case UserPut():
                    code = self._users.code(record.id)
                    if len(self._guests.group(code, position)) > 1:
                        groups[self._guests.person(code, position)] = None
                    elif code >= 0:
                        self._live.put(code, as_put(record))
                        told = True
                case Merge():
                    groups[self._guests.person(self._users.code(record.target), position)] = None
        for person in groups.keys() - {-1}:
            names = self._users.ids_of(np.array(self._guests.group(person, position)))
            puts = [[put for _, put in self._log.user_puts(name, position)] for name in names]
            if any(puts):
                self._live.put(person, together(names[0], puts))
                told = True
        return told


def people_of(puts: Puts, users: CodeMap, guests: Guests, position: int = ALWAYS) -> LiveCatalogue:
    """What `puts` tell of each user code, with the merges up to `position`."""
    live, groups = LiveCatalogue("user"), dict[int, dict[int, list[UserPut]]]()
    for _, put in puts:
        code = users.code(put.id)
        group = guests.group(code, position) if code >= 0 else []
        if len(group) == 1:
            live.put(code, as_put(put))
        elif group:
            groups.setdefault(group[0], {each: [] for each in group})[code].append(put)
    for person, said in groups.items():
        live.put(person, together(users.id(person), list(said.values())))
    return live


def as_put(put: UserPut) -> ItemPut:
    """A put of a user in the form in which a catalogue takes it."""
    return ItemPut(id=put.id, time=put.time, attributes=put.attributes, patch=put.patch)


def together(user: str, puts: Sequence[Sequence[UserPut]]) -> ItemPut:
    """What several ids of one person say, the one it answers as first: its own counts, then the newest."""
    attributes: dict[str, Value] = {}
    for each in reversed(puts):
        attributes |= folded(each)
    newest = max((put.time for each in puts for put in each), default=0)
    return ItemPut(id=user, time=newest, attributes=attributes)


def folded(puts: Iterable[UserPut]) -> Mapping[str, Value]:
    """What the puts of one id say in the end."""
    attributes: dict[str, Value] = {}
    for put in puts:
        attributes = {**(attributes if put.patch else {}), **put.attributes}
    return {name: value for name, value in attributes.items() if value is not None}
