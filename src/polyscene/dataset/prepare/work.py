"""The folder where a preparation keeps what it has read so far, so that a killed one goes on."""

import fcntl
import os
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
import numpy as np
import polars as pl

from polyscene.artifacts.files import refused, replace_synced
from polyscene.core.arrays import Array
from polyscene.core.clock import SystemClock
from polyscene.core.errors import StoreError
from polyscene.dataset.prepare.pieces import Mark
from polyscene.dataset.readers import ROW
from polyscene.dataset.scales import ValueFacts, ValuePlan
from polyscene.dataset.tables import TableReport
from polyscene.dataset.typed import EventForm, RawFacts

RECORD = np.dtype(
    [
        ("user", "<i4"),
        ("item", "<i4"),
        ("action", "<i2"),
        ("scenario", "<i2"),
        ("value", "<f8"),
        ("time", "<i8"),
        ("row", "<i8"),
    ]
)
"""A clean row on its way: codes in the order of arrival, the value unrounded, the raw row."""
REMOVED = {ROW: pl.Int64, "cause": pl.String}
"""Columns of the removed rows."""
IDS = ("user", "item")
WORDS = ("action", "scenario")


class Books(msgspec.Struct, frozen=True):
    """The account of some rows; accounts add up (see `TableReport`)."""

    removed: dict[str, int] = {}
    changed: dict[str, int] = {}
    noticed: dict[str, int] = {}

    def __add__(self, other: "Books") -> "Books":
        return Books(
            dict(Counter(self.removed) + Counter(other.removed)),
            dict(Counter(self.changed) + Counter(other.changed)),
            dict(Counter(self.noticed) + Counter(other.noticed)),
        )

    @classmethod
    def of(cls, report: TableReport) -> "Books":
        """The counts of a closed ledger."""
        return cls(dict(report.removed), dict(report.changed), dict(report.noticed))


class Plan(msgspec.Struct, frozen=True):
    """How all events are to be read; what only all of them tell."""

    form: EventForm
    values: ValuePlan


class Unit(msgspec.Struct, frozen=True, kw_only=True):
    """What one piece of the source came to; its rows and new ids are in files of the same number."""

    end: Mark
    rows: int
    broken: int
    raw: RawFacts
    values: ValueFacts
    books: Books
    words: dict[str, list[str]]


class Begun(msgspec.Struct, frozen=True):
    """What a work folder is for, and when it was begun (UTC ms)."""

    key: str
    at: int


class Work:
    """Units in a folder, in order. A unit is there once its JSON file is, which is written last."""

    def __init__(self, folder: Path, key: str) -> None:
        """Goes on with what is in `folder` if it was begun with the same `key`, else starts afresh.

        Raises:
            StoreError: The disk refuses, or another process prepares the same.
        """
        self.folder = folder
        with refused(folder, "the working folder can't be written"):
            folder.mkdir(parents=True, exist_ok=True)
            self._lock = _locked(folder)
            begun = folder / "begun"
            if not begun.exists() or msgspec.json.decode(begun.read_bytes(), type=Begun).key != key:
                for path in folder.iterdir():
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
                replace_synced(begun, msgspec.json.encode(Begun(key, SystemClock().now())))
            self.begun = msgspec.json.decode(begun.read_bytes(), type=Begun).at
        self.units: list[Unit] = []
        self._counts = np.zeros(0, np.int64)
        while (file := self._file("json")).exists():
            self._count(self.records(len(self.units)))
            self.units.append(msgspec.json.decode(file.read_bytes(), type=Unit))

    def _file(self, what: str, number: int | None = None) -> Path:
        return self.folder / f"{len(self.units) if number is None else number:06}.{what}"

    @property
    def end(self) -> Mark:
        """Up to where the source has been read."""
        return self.units[-1].end if self.units else Mark()

    @property
    def plan(self) -> Plan | None:
        """How the units were read."""
        file = self.folder / "plan"
        return msgspec.json.decode(file.read_bytes(), type=Plan) if file.exists() else None

    @property
    def counts(self) -> Array:
        """Rows of each user code."""
        return self._counts

    def begin(self, plan: Plan) -> None:
        """Forgets all units; the next ones will be read by `plan`."""
        with refused(self.folder, "the working folder can't be written"):
            for file in self.folder.glob("*.json"):
                file.unlink()
            replace_synced(self.folder / "plan", msgspec.json.encode(plan))
        self.units, self._counts = [], np.zeros(0, np.int64)

    def _count(self, records: Array) -> None:
        more = np.bincount(records["user"], minlength=len(self._counts))
        more[: len(self._counts)] += self._counts
        self._counts = more

    def add(
        self, unit: Unit, records: Array, ids: Mapping[str, Sequence[str]], removed: pl.DataFrame
    ) -> None:
        """Keeps a unit: it is on disk afterwards."""
        with refused(self.folder, "the working folder can't be written"):
            self._write(self._file("rows"), records.data)
            for name, new in ids.items():
                self._write(self._file(name), msgspec.json.Encoder().encode_lines(new))
            if len(removed):
                removed.write_parquet(self._file("removed"))
            replace_synced(self._file("json"), msgspec.json.encode(unit))
        self.units.append(unit)
        self._count(records)

    def close(self) -> None:
        """Lets others work in the folder."""
        os.close(self._lock)

    def _write(self, path: Path, content: bytes | memoryview) -> None:
        with path.open("wb") as file:
            file.write(content)
            os.fsync(file.fileno())

    def records(self, number: int) -> Array:
        """(n,) `RECORD` rows of a unit."""
        return np.fromfile(self._file("rows", number), RECORD)

    def ids(self, name: str) -> list[pl.Series]:
        """All ids of ``user`` or ``item`` by code, a series per unit."""
        return [
            pl.Series(
                msgspec.json.Decoder(str).decode_lines(self._file(name, number).read_bytes()),
                dtype=pl.String,
            )
            for number in range(len(self.units))
        ]

    def words(self, name: str) -> list[str]:
        """All words of ``action`` or ``scenario`` by code."""
        return [word for unit in self.units for word in unit.words[name]]

    def removed(self) -> pl.DataFrame:
        """Row and cause of all removed rows."""
        files = (self._file("removed", number) for number in range(len(self.units)))
        kept = [pl.read_parquet(file) for file in files if file.exists()]
        return pl.concat([pl.DataFrame(schema=REMOVED), *kept])

    def books(self) -> Books:
        """The account of all units."""
        return sum((unit.books for unit in self.units), Books())


def _locked(folder: Path) -> int:
    lock = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as problem:
        os.close(lock)
        raise StoreError(f"{folder}: another process prepares the same folder; wait for it") from problem
    return lock
