"""Histories on disk: raw little-endian columns and a JSON header, opened as memory maps."""

import hashlib
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import msgspec
import numpy as np

from polyscene.core.arrays import Array, RaggedTable, offsets_of
from polyscene.core.errors import BundleError, InputError

FORMAT = 1
HEADER = "header.json"


class ColumnHeader(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One file of the folder: its numpy type (``"<i4"``), its length in values and its sha256."""

    dtype: str
    length: int
    sha256: str


class Header(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the folder holds: the offsets and one entry per column, each in the file ``<name>.bin``."""

    format: int
    offsets: ColumnHeader
    columns: dict[str, ColumnHeader]


class SequenceWriter:
    """Writes a table list by list into a folder that must not be used before `finish`."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._lengths: list[Array] = []
        self._columns: dict[str, _ColumnFile] = {}

    def append(self, lengths: Array, columns: Mapping[str, Array]) -> None:
        """Adds lists of the given lengths and the rows in them.

        Raises:
            InputError: A column name can't be a file name, or a column is no plain number type.
        """
        self._lengths.append(np.asarray(lengths, np.int64))
        for name, values in columns.items():
            if name not in self._columns:
                _check(name, values)
                self._columns[name] = _ColumnFile(self._folder / f"{name}.bin", values.dtype)
            self._columns[name].write(values)

    def finish(self) -> Header:
        """Writes the header; all is on disk then."""
        offsets = offsets_of(np.concatenate([np.zeros(0, np.int64), *self._lengths]))
        file = _ColumnFile(self._folder / "offsets.bin", offsets.dtype)
        file.write(offsets)
        columns = {name: column.close() for name, column in self._columns.items()}
        header = Header(format=FORMAT, offsets=file.close(), columns=columns)
        (self._folder / HEADER).write_bytes(msgspec.json.format(msgspec.json.encode(header), indent=2))
        return header


class _ColumnFile:
    def __init__(self, path: Path, dtype: np.dtype[np.generic]) -> None:
        self._dtype = dtype.newbyteorder("<")
        self._file = path.open("wb")
        self._sha = hashlib.sha256()
        self._length = 0

    def write(self, values: Array) -> None:
        little = np.ascontiguousarray(values, self._dtype)
        self._file.write(little.data)
        self._sha.update(little.data)
        self._length += len(little)

    def close(self) -> ColumnHeader:
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        return ColumnHeader(dtype=self._dtype.str, length=self._length, sha256=self._sha.hexdigest())


def save_sequences(folder: Path, table: RaggedTable) -> None:
    """Writes `table` to `folder`, replaced as a whole; readers of the old one keep what they mapped.

    Raises:
        InputError: A column name can't be a file name, or a column is no plain number type.
    """
    for name, values in table.columns.items():
        _check(name, values)
    beside = folder.with_name(folder.name + ".new")
    shutil.rmtree(beside, ignore_errors=True)
    writer = SequenceWriter(beside)
    writer.append(table.lengths, table.columns)
    writer.finish()
    _swap(beside, folder)


def open_sequences(folder: Path, *, verify: bool = False) -> RaggedTable:
    """The saved table; its columns are read-only memory maps, so opening costs nothing and readers share.

    `verify` also reads everything once and compares digests.

    Raises:
        BundleError: A file is missing, cut short, changed, or of a newer format.
    """
    header = read_header(folder)
    offsets = _map(folder, "offsets", header.offsets, verify)
    columns = {name: _map(folder, name, column, verify) for name, column in header.columns.items()}
    rows = int(offsets[-1]) if len(offsets) else -1
    short = [name for name, column in columns.items() if len(column) != rows]
    if rows < 0 or short:
        raise BundleError(
            f"sequences {folder}: offsets end at {rows} rows, not so {short}; save them again"
        )
    return RaggedTable(offsets, columns)


def read_header(folder: Path) -> Header:
    """What a folder of sequences says it holds.

    Raises:
        BundleError: It says nothing, or is of a newer format.
    """
    try:
        header = msgspec.json.decode((folder / HEADER).read_bytes(), type=Header)
    except (OSError, msgspec.DecodeError) as problem:
        raise BundleError(
            f"sequences {folder}: no readable {HEADER} ({problem}); save them again"
        ) from problem
    if header.format != FORMAT:
        raise BundleError(
            f"sequences {folder}: format {header.format}, this program reads {FORMAT}; update it"
        )
    return header


def _check(name: str, values: Array) -> None:
    if not name.isidentifier():
        raise InputError(f"sequences: {name!r} can't name a column; use letters, digits and underscores")
    if values.dtype.kind not in "biuf":
        raise InputError(f"sequences: column {name!r} is {values.dtype}, expected numbers")


def _swap(beside: Path, folder: Path) -> None:
    old = folder.with_name(folder.name + ".old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.replace(old)
    beside.replace(folder)
    shutil.rmtree(old, ignore_errors=True)


def _map(folder: Path, name: str, header: ColumnHeader, verify: bool) -> Array:
    path = folder / f"{name}.bin"
    dtype = _dtype(path, header.dtype)
    expected = header.length * dtype.itemsize
    size = path.stat().st_size if name.isidentifier() and path.is_file() else -1
    if size != expected:
        found = "is missing" if size < 0 else f"has {size} bytes"
        raise BundleError(f"sequences: {path} {found}, expected {expected} bytes; save them again")
    values: Array = np.memmap(path, dtype, mode="r") if expected else np.zeros(0, dtype)
    if verify and hashlib.sha256(np.ascontiguousarray(values).data).hexdigest() != header.sha256:
        raise BundleError(f"sequences: {path} doesn't match its sha256; save them again")
    return values


def _dtype(path: Path, text: str) -> np.dtype[np.generic]:
    if len(text) != 3 or text[0] not in "<|" or text[1] not in "biuf" or text[2] not in "1248":
        raise BundleError(
            f"sequences: {path} is said to hold {text!r}, expected such as '<i4'; save them again"
        )
    return np.dtype(text)
