"""The live catalogue: absorbs puts one by one, and gives snapshots that never change.

A new item costs a few writes. A change to an item that a snapshot shows costs one copy of the columns
concerned, at most once per snapshot (see `cells`).
"""

from collections import deque
from collections.abc import Iterable, Mapping

import numpy as np

from polyscene.core.arrays import Codes, Times
from polyscene.core.catalogue import Catalogue, ColumnType
from polyscene.core.errors import InputError
from polyscene.dataset.cells import Attribute, Cells, Words, type_of
from polyscene.events.event import ItemPut, UserPut, Value

NEVER = np.iinfo(np.int64).max
"""`put_at` of a code that was not put or seen yet."""
MAX_ATTRIBUTES = 1_000


class LiveCatalogue:
    """What is known of each code, growing; one thread writes and takes snapshots, many read those.

    `thing`: the word for what a code stands for, in faults.
    """

    def __init__(self, thing: str = "item") -> None:
        self.size, self._thing = 0, thing
        self._put_at = Cells(NEVER, np.int64)
        self._active = Cells(False, bool)
        self._kinds = Cells(0, np.int16)
        self._kind_names = Words(["item"])
        self._columns: dict[str, Attribute] = {}
        self._described: set[int] = set()
        self._snapshot: Catalogue | None = None
        self.problems: deque[str] = deque(maxlen=100)
        """The newest faults met in puts."""

    def types(self) -> dict[str, ColumnType]:
        """The type of every attribute met so far."""
        return {name: column.type for name, column in self._columns.items()}

    def reach(self, size: int) -> None:
        """Knows of `size` codes; new ones are not active until they are put or seen."""
        self._snapshot = None
        self.size = max(self.size, size)
        for cells in (self._put_at, self._active, self._kinds):
            cells.reach(self.size)

    def touch(self, codes: Codes, times: Times) -> bool:
        """Items with events at `times`: known from the first on, and eligible unless deleted.

        Whether that told anything new.
        """
        inside = codes < self.size
        if bool(inside.all()) and bool((times >= self._put_at.at(codes)).all()):
            return False
        self.reach(int(codes.max()) + 1)
        self._active.write(codes[self._put_at.at(codes) == NEVER], True)
        self._put_at.lower(codes, times)
        return True

    def put(self, code: int, record: ItemPut) -> None:
        """Absorbs a put, a patch or a deletion.

        An attribute of another type than earlier items have is left out and noted in `problems`;
        `check_types` tells before.
        """
        self.reach(code + 1)
        if record.time < self._put_at.at(code):
            self._put_at.write(code, record.time)
        if self._active.at(code) == record.delete:
            self._active.write(code, not record.delete)
        if not record.delete:
            self._describe(code, record)

    def snapshot(self) -> Catalogue:
        """The items as of now; the same object until something changes."""
        if self._snapshot is None:
            put_at = self._put_at.at(slice(self.size))
            self._snapshot = Catalogue(
                put_at=np.where(put_at == NEVER, 0, put_at),
                active=self._active.view(self.size),
                kinds=self._kinds.view(self.size),
                kind_names=self._kind_names.shown(),
                columns={name: column.view(self.size) for name, column in self._columns.items()},
            )
        return self._snapshot

    def _describe(self, code: int, record: ItemPut) -> None:
        known = code in self._described
        if not (record.patch and known):
            self._kinds.write(code, self._kind_names.code(record.kind))
        if known and not record.patch:
            for name in self._columns.keys() - record.attributes.keys():
                self._columns[name].write(code, None)
        self._described.add(code)
        for name, value in record.attributes.items():
            self._set(code, record, name, value)

    def _set(self, code: int, record: ItemPut, name: str, value: Value) -> None:
        column = self._columns.get(name)
        if column is None:
            if value is None or len(self._columns) >= MAX_ATTRIBUTES:
                return
            column = self._columns[name] = Attribute(type_of(name, value))
        fits = value is None or type_of(name, value) == column.type
        if not fits:
            self.problems.append(_clash(record, name, column.type, self._thing))
        column.write(code, value if fits else None)


def check_types(
    records: Iterable[ItemPut | UserPut], known: Mapping[str, ColumnType], thing: str = "item"
) -> dict[str, ColumnType]:
    """The types after `records`, if all attributes have those they had before, `known` and among them.

    Raises:
        InputError: One differs, or there are too many attributes; the text names `thing` and attribute.
    """
    met = dict(known)
    for record in records:
        for name, value in record.attributes.items():
            if value is None:
                continue
            found = type_of(name, value)
            expected = met.setdefault(name, found)
            if found != expected:
                raise InputError(_clash(record, name, expected, thing))
        if len(met) > MAX_ATTRIBUTES:
            raise InputError(
                f"{thing} {record.id!r}: more than {MAX_ATTRIBUTES} attribute names; use tags for open sets"
            )
    return met


def _clash(record: ItemPut | UserPut, name: str, expected: ColumnType, thing: str) -> str:
    value = record.attributes[name]
    found = type_of(name, value)
    return (
        f"{thing} {record.id!r}: attribute {name!r} is {str(value)[:60]!r} ({found}), but earlier {thing}s "
        f"have a {expected} there; send a {expected} or use another name"
    )
