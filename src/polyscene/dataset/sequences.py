"""Histories on disk: raw little-endian columns and a JSON header, opened as memory maps."""

import hashlib
import os
import shutil
from pathlib import Path

import msgspec
import numpy as np

from polyscene.core.arrays import Array, RaggedTable
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


def save_sequences(folder: Path, table: RaggedTable) -> None:
    """Writes `table` to `folder`, replaced as a whole; readers of the old one keep what they mapped.

    Raises:
        InputError: A column name can't be a file name, or a column is no plain number type.
    """
    for name, values in table.columns.items():
        _check(name, values)
    beside = folder.with_name(folder.name + ".new")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True)
    columns = {name: _write(beside, name, values) for name, values in table.columns.items()}
    header = Header(format=FORMAT, offsets=_write(beside, "offsets", table.offsets), columns=columns)
    (beside / HEADER).write_bytes(msgspec.json.format(msgspec.json.encode(header), indent=2))
    _swap(beside, folder)


def open_sequences(folder: Path, *, verify: bool = False) -> RaggedTable:
    """The saved table; its columns are read-only memory maps, so opening costs nothing and readers share.

    `verify` also reads everything once and compares digests.

    Raises:
        BundleError: A file is missing, cut short, changed, or of a newer format.
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
    offsets = _map(folder, "offsets", header.offsets, verify)
    columns = {name: _map(folder, name, column, verify) for name, column in header.columns.items()}
    rows = int(offsets[-1]) if len(offsets) else -1
    short = [name for name, column in columns.items() if len(column) != rows]
    if rows < 0 or short:
        raise BundleError(
            f"sequences {folder}: offsets end at {rows} rows, not so {short}; save them again"
        )
    return RaggedTable(offsets, columns)


def _check(name: str, values: Array) -> None:
    if not name.isidentifier():
        raise InputError(f"sequences: {name!r} can't name a column; use letters, digits and underscores")
    if values.dtype.kind not in "biuf":
        raise InputError(f"sequences: column {name!r} is {values.dtype}, expected numbers")


def _write(folder: Path, name: str, values: Array) -> ColumnHeader:
    little = np.ascontiguousarray(values, values.dtype.newbyteorder("<"))
    with (folder / f"{name}.bin").open("wb") as file:
        file.write(little.data)
        os.fsync(file.fileno())
    return ColumnHeader(
        dtype=little.dtype.str, length=len(little), sha256=hashlib.sha256(little.data).hexdigest()
    )


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
