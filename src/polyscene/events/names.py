"""Codes for ids: given out by the one writer, read by everybody."""

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from enum import IntEnum
from threading import Lock
from typing import Any

from polyscene.events.log import nobody


class Family(IntEnum):
    """What kind of id a code stands for; the numbers are stored."""

    USER = 0
    ITEM = 1
    ACTION = 2
    SCENARIO = 3
    KIND = 4


class CodeBook:
    """The writer's id -> code maps and the log's last position; changes count once `settle` is called.

    Codes are dense and in the order of first mention. Only the writer thread may touch it.
    """

    def __init__(self, connection: Any, position: int) -> None:
        self.position = self._settled = position
        self._codes: dict[Family, dict[str, int]] = {family: {} for family in Family}
        self._next = dict.fromkeys(Family, 0)
        self._staged: list[tuple[Family, int, str]] = []
        self._written = 0
        self._forgotten: list[tuple[str, int]] = []
        for family, code, name in connection.execute("SELECT family, code, name FROM names"):
            self._next[Family(family)] = max(self._next[Family(family)], code + 1)
            if name is not None:
                self._codes[Family(family)][name] = code

    @property
    def settled(self) -> int:
        """The last position that is safe on disk."""
        return self._settled

    def code(self, family: Family, name: str) -> int:
        """The code of a name, a new one if need be."""
        codes = self._codes[family]
        code = codes.get(name)
        if code is None:
            code = codes[name] = self._next[family]
            self._next[family] += 1
            self._staged.append((family, code, name))
        return code

    def codes(self, family: Family, names: Sequence[str]) -> list[int]:
        """The codes of many names; new ones get theirs in the order they come."""
        known = self._codes[family]
        for name in dict.fromkeys(names):
            if name not in known:
                self.code(family, name)
        return list(map(known.__getitem__, names))

    def known(self, family: Family, name: str) -> int:
        """The code of a name; -1 if it has none."""
        return self._codes[family].get(name, -1)

    def write(self, connection: Any) -> None:
        """Stores the codes given out in this transaction so far; call before commit."""
        self._store(connection, self._staged[self._written :])
        self._written = len(self._staged)

    def _store(self, connection: Any, new: Sequence[tuple[Family, int, str]]) -> None:
        connection.executemany("INSERT INTO names (family, code, name) VALUES (?, ?, ?)", new)

    def _unname(self, connection: Any, code: int) -> None:
        connection.execute("UPDATE names SET name = NULL WHERE family = 0 AND code = ?", (code,))

    def settle(self) -> None:
        """The transaction was committed."""
        self._settled = self.position
        self._clear()

    def revert(self) -> None:
        """The transaction was rolled back: its codes and positions were never given out."""
        for family, code, name in reversed(self._staged):
            self._codes[family].pop(name, None)
            self._next[family] = code
        for name, code in self._forgotten:
            if code < self._next[Family.USER]:
                self._codes[Family.USER][name] = code
        self.position = self._settled
        self._clear()

    def forget(self, connection: Any, user: str) -> int:
        """Takes a user's id away and gives the code, which stays nameless; -1 for an unknown user."""
        code = self._codes[Family.USER].pop(user, -1)
        if code >= 0:
            self.write(connection)
            self._unname(connection, code)
            self._forgotten.append((user, code))
        return code

    def _clear(self) -> None:
        self._staged.clear()
        self._forgotten.clear()
        self._written = 0


NamesSince = Callable[[Any, Family, int], list[str]]
"""Reads the names of a family from a code on, given a connection."""


class NameLists:
    """A reader's code -> id lists, filled from the file as new codes are met."""

    def __init__(self, since: NamesSince) -> None:
        self._since = since
        self._lists: dict[Family, list[str]] = {family: [] for family in Family}
        self._lock = Lock()

    def name(self, connection: Any, family: Family, code: int) -> str:
        """The id behind a code that stands in the file."""
        names = self._lists[family]
        if code >= len(names):
            with self._lock:
                names.extend(self._since(connection, family, len(names)))
        return names[code]

    def forget(self, codes: Iterable[int]) -> None:
        """Drops the ids of users."""
        users = self._lists[Family.USER]
        for code in codes:
            if code < len(users):
                users[code] = nobody(code)


def names_since(connection: sqlite3.Connection, family: Family, since: int) -> list[str]:
    """The names of a family from code `since` on, as they stand in the file."""
    rows = connection.execute(
        "SELECT code, name FROM names WHERE family = ? AND code >= ? ORDER BY code", (family, since)
    )
    return named(rows)


def named(rows: Iterable[tuple[int, str | None]]) -> list[str]:
    """The names in rows of code and name."""
    return [nobody(code) if name is None else name for code, name in rows]
