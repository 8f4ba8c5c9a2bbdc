"""The second pass: rows dealt out by ranges of users, each range cleaned, sorted and appended."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import IO

import numpy as np
import polars as pl

from polyscene.artifacts.files import refused
from polyscene.core.arrays import Array, Codes, Times
from polyscene.core.contracts import ProgressBar
from polyscene.core.queries import HISTORY_COLUMNS
from polyscene.dataset.clean import CleaningRules, clean_crowd
from polyscene.dataset.ledger import Ledger
from polyscene.dataset.live import NEVER
from polyscene.dataset.order import history_order
from polyscene.dataset.prepare.read import removed_rows
from polyscene.dataset.prepare.work import RECORD, Books, Work
from polyscene.dataset.readers import ROW
from polyscene.dataset.sequences import SequenceWriter

MOST_RANGES = 500
"""Files that are open at once."""
COPIED = 1 << 20
"""Rows that are copied at once."""


@dataclass(slots=True)
class Sorted:
    """What came out: columns in a folder, and what all of them tell.

    Shapes: `users` ranks of those who have a history, rising; `first` (I,) time of each item's first event,
    `NEVER` without one; `words` rows of each word.
    """

    users: list[Codes] = field(default_factory=list)
    first: Times = field(default_factory=lambda: np.zeros(0, np.int64))
    words: dict[str, Array] = field(default_factory=dict)
    books: Books = field(default_factory=Books)
    removed: list[pl.DataFrame] = field(default_factory=list)
    rows: int = 0
    last: int = 0


@dataclass(frozen=True, slots=True)
class Ranks:
    """Where each code of the first pass stands among the sorted ids or words."""

    names: pl.Series
    of: Codes

    @classmethod
    def among(cls, names: pl.Series, dtype: type) -> "Ranks":
        """The ranks of ids or words in the order of their codes."""
        order = names.arg_sort().to_numpy()
        of: Array = np.empty(len(names), dtype)
        of[order] = np.arange(len(names))
        return cls(names.gather(order), of)


@dataclass(frozen=True, slots=True)
class Sorter:
    """Sorts the units of a work folder; `rows` is how many rows may be in memory."""

    work: Work
    rules: CleaningRules
    clock: bool
    ranks: dict[str, Ranks]
    rows: int

    def ranges(self) -> Array:
        """(P+1,) ranks of users between which a range has about `rows` rows; the last is their number."""
        counts = np.zeros(len(self.ranks["user"].of), np.int64)
        counts[self.ranks["user"].of] = self.work.counts
        total = int(counts.sum())
        size = max(self.rows, total // MOST_RANGES)
        place = np.maximum(np.cumsum(counts) - 1, 0) // size
        starts = np.flatnonzero(np.diff(place, prepend=-1))
        return np.append(starts, len(counts))

    def sort(self, folder: Path, bar: ProgressBar) -> Sorted:
        """Writes the sorted histories as sequences into `folder`."""
        bounds = self.ranges()
        paths = [self.work.folder / f"range-{number:03}" for number in range(len(bounds) - 1)]
        with refused(self.work.folder, "the working folder can't be written"):
            self._deal(paths, bounds, bar)
            found = Sorted(first=np.full(len(self.ranks["item"].of), NEVER, np.int64))
            found.words = {
                name: np.zeros(len(self.ranks[name].of), np.int64) for name in ("action", "scenario")
            }
            writer = SequenceWriter(folder)
            for path, (low, high) in zip(paths, pairwise(bounds.tolist()), strict=True):
                self._append(np.fromfile(path, RECORD), low, high, writer, found)
                path.unlink()
                bar.advance()
            writer.finish()
        return found

    def _deal(self, paths: Sequence[Path], bounds: Array, bar: ProgressBar) -> None:
        files = [path.open("wb") for path in paths]
        try:
            for number in range(len(self.work.units)):
                self._deal_unit(number, files, bounds)
                bar.advance()
        finally:
            for file in files:
                file.close()

    def _deal_unit(self, number: int, files: Sequence[IO[bytes]], bounds: Array) -> None:
        records = self.work.records(number)
        for name, ranks in self.ranks.items():
            records[name] = ranks.of[records[name]]
        range_of = np.repeat(np.arange(len(files), dtype=np.uint16), np.diff(bounds))
        place = range_of[records["user"]]
        records = records[np.argsort(place, kind="stable")]
        ends = np.cumsum(np.bincount(place, minlength=len(files)))
        for file, start, end in zip(files, [0, *ends[:-1].tolist()], ends.tolist(), strict=True):
            records[start:end].tofile(file)

    def _append(self, records: Array, low: int, high: int, writer: SequenceWriter, found: Sorted) -> None:
        events = pl.DataFrame({name: records[name] for name in RECORD.names or ()}).rename({"row": ROW})
        del records
        ledger = Ledger("", len(events))
        events = clean_crowd(events, self.rules, ledger, clock=self.clock)
        users, times = events["user"].to_numpy(), events["time"].to_numpy()
        order = history_order(users, times)
        columns: dict[str, Array] = {
            name: events[name].to_numpy()[order].astype(kind, copy=False)
            for name, kind in HISTORY_COLUMNS.items()
        }
        lengths = np.bincount(users - low, minlength=high - low)
        there = np.flatnonzero(lengths)
        writer.append(lengths[there], columns)
        found.users.append((there + low).astype(np.int32))
        found.rows += len(events)
        if len(events):
            np.minimum.at(found.first, columns["item"], columns["time"])
            found.last = max(found.last, int(times.max()))
        for name in found.words:
            found.words[name] += np.bincount(columns[name], minlength=len(found.words[name]))
        found.books += Books.of(ledger.report(0))
        found.removed.append(removed_rows(ledger))


def rewritten(source: Path, target: Path, lengths: Array, maps: dict[str, Array]) -> None:
    """Writes sequences anew with codes looked up in `maps`."""
    writer = SequenceWriter(target)
    writer.append(lengths, {})
    for columns in _columns(source, int(lengths.sum())):
        writer.append(
            np.zeros(0, np.int64),
            {
                name: maps[name][values].astype(values.dtype) if name in maps else values
                for name, values in columns.items()
            },
        )
    writer.finish()


def _columns(folder: Path, rows: int) -> Iterator[dict[str, Array]]:
    for start in range(0, rows, COPIED):
        count = min(COPIED, rows - start)
        yield {
            name: np.fromfile(folder / f"{name}.bin", kind, count, offset=start * np.dtype(kind).itemsize)
            for name, kind in HISTORY_COLUMNS.items()
        }
