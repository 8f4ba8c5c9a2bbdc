"""Reading a damaged log file: whatever rows its pages still give, and what its indexes say was there."""

import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from polyscene.events.rows import Row

Names = dict[tuple[int, int], str | None]
"""Ids by family and code; None stands for an erased user or a lost id."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table: its key, the columns to read, and its indexes, which hold the key too."""

    name: str
    key: str
    columns: str
    indexes: tuple[str, ...]


@dataclass(slots=True)
class Salvage:
    """Reads on after damage; `lost` counts rows that an index names but that could not be given."""

    source: sqlite3.Connection
    lost: int = 0
    _damaged: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        # a broken text must not end the reading of a table: its row fails its sum
        self.source.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")

    def rows(self, table: Table, is_right: Callable[[Row], bool]) -> Iterator[Row]:
        """The rows that `is_right` holds for, each once; the first column is the key."""
        named = self._named(table)
        kept = set()
        for row in self._readable(table, named):
            if row[0] not in kept and (not named or row[0] in named) and is_right(row):
                kept.add(row[0])
                yield row
        self.lost += len(named - kept)

    def _readable(self, table: Table, named: set[object]) -> Iterator[Row]:
        query = f"SELECT {table.columns} FROM {table.name} NOT INDEXED ORDER BY {table.key}"  # noqa: S608
        seen = set()
        for order in ("ASC", "DESC"):
            self._damaged = False
            for row in self._until_damage(f"{query} {order}"):
                if row[0] in seen and order == "DESC":
                    continue
                seen.add(row[0])
                yield row
            if not self._damaged:
                return
        single = f"SELECT {table.columns} FROM {table.name} NOT INDEXED WHERE {table.key} = ?"  # noqa: S608
        for key in named - seen:
            yield from self._until_damage(single, (key,))

    def _named(self, table: Table) -> set[object]:
        found: set[object] = set()
        for index in table.indexes:
            query = f"SELECT {table.key} FROM {table.name} INDEXED BY {index}"  # noqa: S608
            found.update(key for (key,) in self._until_damage(query))
        return found

    def names(self) -> Names:
        """Ids by code from the table and its index; dense, with None where both are gone or disagree."""
        columns = "SELECT family, code, name FROM names"
        table = {
            (family, code): name for family, code, name in self._until_damage(f"{columns} NOT INDEXED")
        }
        table |= {
            (family, code): name
            for family, code, name in self._until_damage(
                f"{columns} NOT INDEXED ORDER BY family DESC, code DESC"
            )
        }
        index = {
            (family, code): name
            for order in ("ASC", "DESC")
            for family, code, name in self._until_damage(
                f"{columns} INDEXED BY names_by_name ORDER BY family {order}, name {order}"
            )
        }
        return _agreed(table, index)

    def _until_damage(self, query: str, facts: tuple[object, ...] = ()) -> Iterator[Row]:
        try:
            yield from self.source.execute(query, facts)
        except sqlite3.DatabaseError:
            self._damaged = True


def _agreed(table: Names, index: Names) -> Names:
    sure = {key: name for key, name in table.items() if key in index and index[key] == name}
    agreed = sure or table or index
    highest: dict[int, int] = {}
    for family, code in agreed:
        highest[family] = max(highest.get(family, -1), code)
    taken: set[tuple[int, str | None]] = {(family, name) for (family, _), name in agreed.items() if name}
    names: Names = {}
    for family, last in sorted(highest.items()):
        for code in range(last + 1):
            key = family, code
            said = {side[key] for side in (table, index) if key in side}
            name = agreed[key] if key in agreed else said.pop() if len(said) == 1 else None
            names[key] = name if key in agreed or (family, name) not in taken else None
            taken.add((family, name))
    return names
