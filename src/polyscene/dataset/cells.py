"""Columns that grow while others read them.

A view is a piece of a buffer that doubles. What a view has shown is never written again: the first
later write to it moves the column to a fresh copy.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np

from polyscene.core.arrays import Array, Codes, Ragged, offsets_of
from polyscene.core.catalogue import Column, ColumnType
from polyscene.dataset.schema import TEXTS, fold
from polyscene.events.event import Value


def type_of(name: str, value: Value) -> ColumnType:
    """How a value of an attribute is to be understood: truths are numbers, prose goes by its name."""
    if isinstance(value, list):
        return "tags"
    if isinstance(value, str):
        return "text" if fold(name) in TEXTS else "category"
    return "number"


class Words:
    """Words and their places, in the order they came."""

    def __init__(self, words: Iterable[str] = ()) -> None:
        self._place_of = {word: place for place, word in enumerate(words)}
        self._shown: tuple[str, ...] | None = None

    def code(self, word: str) -> int:
        """The place of a word; a new word gets the next one."""
        if word not in self._place_of:
            self._place_of[word] = len(self._place_of)
            self._shown = None
        return self._place_of[word]

    def shown(self) -> tuple[str, ...]:
        """All words by place."""
        if self._shown is None:
            self._shown = tuple(self._place_of)
        return self._shown


class Cells:
    """One value per code. What a view has shown is never written again."""

    def __init__(self, missing: Any, dtype: Any) -> None:
        self._missing = missing
        self._buffer: Array = np.full(16, missing, dtype)
        self._shown = 0

    def at(self, codes: Array | int | slice) -> Array:
        """The present values of codes within reach."""
        values: Array = self._buffer[codes]
        return values

    def reach(self, size: int) -> None:
        """Makes room for `size` codes."""
        if size > len(self._buffer):
            more = np.full(max(size, 2 * len(self._buffer)), self._missing, self._buffer.dtype)
            more[: len(self._buffer)] = self._buffer
            self._buffer, self._shown = more, 0

    def write(self, codes: Array | int, values: object) -> None:
        """Sets the values of codes within reach."""
        self._part(codes)
        self._buffer[codes] = values

    def lower(self, codes: Codes, values: Array) -> None:
        """Sets each code to the least of its value and those given; a code may come more than once."""
        self._part(codes)
        np.minimum.at(self._buffer, codes, values)

    def view(self, size: int) -> Array:
        """(size,) the values as of now, read-only, for ever."""
        self.reach(size)
        self._shown = max(self._shown, size)
        shown = self._buffer[:size]
        shown.flags.writeable = False
        return shown

    def _part(self, codes: Array | int) -> None:
        first = codes if isinstance(codes, int) else codes.min(initial=self._shown)
        if first < self._shown:
            self._buffer, self._shown = self._buffer.copy(), 0


class TagCells:
    """One list of tags per code; edits wait until somebody looks."""

    def __init__(self) -> None:
        self._laid = Ragged.empty(0)
        self._edits: dict[int, list[int]] = {}

    def write(self, code: int, tags: list[int]) -> None:
        """Sets the tags of a code."""
        self._edits[code] = tags

    def view(self, size: int) -> Ragged:
        """`size` lists as of now, for ever."""
        if self._edits or len(self._laid) < size:
            self._laid = self._merged(size)
            self._edits = {}
        return self._laid

    def _merged(self, size: int) -> Ragged:
        old, end = self._laid, len(self._laid)
        lengths = np.zeros(size, np.int64)
        lengths[:end] = old.lengths
        pieces, at = [], 0
        for code in sorted(self._edits):
            tags = np.array(self._edits[code], np.int32)
            lengths[code] = len(tags)
            pieces += [old.values[at : old.offsets[min(code, end)]], tags]
            at = int(old.offsets[min(code + 1, end)])
        return Ragged(offsets_of(lengths), np.concatenate([*pieces, old.values[at:]]))


class Attribute:
    """One attribute of all items, of one type."""

    def __init__(self, column_type: ColumnType) -> None:
        self.type = column_type
        self._words = Words()
        self._tags = TagCells()
        missing, dtype = {"number": (np.nan, np.float64), "category": (-1, np.int32)}.get(
            column_type, ("", object)
        )
        self._cells = Cells(missing, dtype)

    def write(self, code: int, value: Value) -> None:
        """Sets the value of a code; None: missing."""
        if isinstance(value, list) or self.type == "tags":
            words = value if isinstance(value, list) else []
            self._tags.write(code, [self._words.code(word) for word in dict.fromkeys(words)])
            return
        self._cells.reach(code + 1)
        if self.type == "category":
            self._cells.write(code, self._words.code(value) if isinstance(value, str) and value else -1)
        elif self.type == "text":
            self._cells.write(code, value or "")
        else:
            self._cells.write(code, np.nan if value is None else value)

    def view(self, size: int) -> Column:
        """The column as of now, for `size` codes."""
        if self.type == "tags":
            return Column("tags", self._tags.view(size), self._words.shown())
        vocabulary = self._words.shown() if self.type == "category" else ()
        return Column(self.type, self._cells.view(size), vocabulary)
