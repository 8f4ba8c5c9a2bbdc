"""Text files as plain UTF-8, whatever they are packed in and however their letters are written.

What a file is, its first bytes tell, not its name. A plain UTF-8 file is read where it stands; any other
one is written anew beside, into a temporary file that lives as long as its `Plain`.
"""

import codecs
import gzip
import io
import os
import re
import stat
import tempfile
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import polars as pl

from polyscene.core.errors import DataError

CHUNK = 1 << 20
MAX_RATIO = 100
SMALL = 32 << 20
"""A packed file may grow to `SMALL` bytes, and beyond that to `MAX_RATIO` times its size: tables don't pack
better, and a file that does is made to fill the disk."""
GZIP, ZSTD, PARQUET = b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"PAR1"
BINARY = {b"PK": "a zip archive (or an Excel workbook)", b"\xd0\xcf": "an Excel workbook", b"%PDF": "a PDF"}
_HIGH = re.compile(rb"[\x80-\xff]+")


@dataclass(frozen=True, slots=True)
class Plain:
    """A file of plain UTF-8 text; `notes` tell what had to be done to make it so."""

    path: Path
    notes: tuple[str, ...] = ()
    keep: object = None


class Spool:
    """A temporary file that goes when nobody holds this any more."""

    def __init__(self) -> None:
        handle, name = tempfile.mkstemp(prefix="polyscene-", suffix=".txt")
        self.stream: IO[bytes] = os.fdopen(handle, "wb")
        self.path = Path(name)
        weakref.finalize(self, self.path.unlink, missing_ok=True)


def check_regular(path: Path) -> None:
    """Nothing, if `path` is a file that can be read to an end.

    Raises:
        DataError: It is a device, a pipe, a socket, or can't be looked at.
    """
    try:
        kind = path.stat().st_mode
    except (OSError, RuntimeError) as problem:
        raise DataError(f"{path}: can't be opened ({problem}); give a file that is there") from problem
    if not stat.S_ISREG(kind):
        raise DataError(
            f"{path}: is no regular file (a device, pipe or socket?); copy the data into a file"
        )


def magic(path: Path) -> bytes:
    """The first four bytes of a file."""
    with path.open("rb") as stream:
        return stream.read(4)


def plain(path: Path) -> Plain:
    """The text of a file as plain UTF-8 with line feeds, with notes on what was detected.

    A letter that is broken in an otherwise good UTF-8 file becomes U+FFFD, which ids may not hold.

    Raises:
        DataError: It is empty, cut short, no text, packed beyond reason, or in an encoding nobody can tell.
    """
    check_regular(path)
    head = magic(path)
    for start, what in BINARY.items():
        if head.startswith(start):
            raise DataError(
                f"{path}: this is {what}; expected a table as text. Save the sheet as CSV (UTF-8)"
            )
    packed = {GZIP: "gzip", ZSTD: "zstd"}.get(head if head == ZSTD else head[:2], "")
    found = Plain(path)
    if packed:
        found = _unpacked(path, packed)
    return _decoded(path, found)


def _unpacked(path: Path, packed: str) -> Plain:
    spool, size, limit = Spool(), 0, max(SMALL, MAX_RATIO * path.stat().st_size)
    with spool.stream as target:
        for chunk in _gunzip(path) if packed == "gzip" else _unzstd(path):
            size += len(chunk)
            if size > limit:
                raise DataError(
                    f"{path}: unpacks to over {MAX_RATIO} times its size, which no table does; "
                    "unpack it yourself if you trust it, and give the plain file"
                )
            target.write(chunk)
    return Plain(spool.path, (f"packed with {packed}",), spool)


def _gunzip(path: Path) -> Iterator[bytes]:
    with gzip.open(path, "rb") as stream:
        yield from iter(lambda: stream.read(CHUNK), b"")


def _unzstd(path: Path) -> Iterator[bytes]:
    for batch in pl.scan_lines(path).collect_batches(chunk_size=10_000):
        yield "".join(f"{line}\n" for line in batch["line"]).encode()


def _decoded(path: Path, found: Plain) -> Plain:
    with found.path.open("rb") as stream:
        head = stream.read(CHUNK)
    if not head:
        raise DataError(f"{path}: the file is empty; expected a header and rows. Export it again")
    encoding, note = _wide(head), ""
    if encoding:
        note = "read as UTF-16"
    elif bad := _first_fault(path, found.path):
        encoding, note = _guessed(bad)
    old_mac = b"\r" in head and b"\n" not in head
    if not encoding and not old_mac:
        return found
    spool = Spool()
    with spool.stream as target, found.path.open("rb") as source:
        _recode(path, source, target, encoding or "utf-8")
    notes = [*found.notes, note, "lines end in CR alone" if old_mac else ""]
    return Plain(spool.path, tuple(filter(None, notes)), spool)


def _wide(head: bytes) -> str:
    """UTF-16 by its mark, or by NUL bytes at every other place."""
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    even, odd = head[:400:2].count(0), head[1:400:2].count(0)
    many = 0.4 * min(len(head), 400) / 2
    if odd > many and not even:
        return "utf-16-le"
    if even > many and not odd:
        return "utf-16-be"
    return ""


def _first_fault(path: Path, file: Path) -> bytes:
    """The chunk in which a file stops being UTF-8; nothing where it never does."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    lines = 1
    with file.open("rb") as stream:
        for chunk in iter(lambda: stream.read(CHUNK), b""):
            if b"\0" in chunk:
                line = lines + chunk[: chunk.index(b"\0")].count(b"\n")
                raise DataError(
                    f"{path}: line {line} holds a NUL byte, so this is damaged or no text at all; "
                    "expected UTF-8 text. Export it again"
                )
            try:
                decoder.decode(chunk)
            except UnicodeDecodeError:
                return chunk
            lines += chunk.count(b"\n")
    if decoder.getstate()[0]:
        raise DataError(f"{path}: it ends inside a letter, so it is cut short. Export it again")
    return b""


def _guessed(chunk: bytes) -> tuple[str, str]:
    """How a chunk that is not UTF-8 is written: broken UTF-8, Chinese, or one byte a letter."""
    text = chunk.decode("utf-8", errors="replace")
    broken = text.count("\ufffd")
    if sum(letter > "\x7f" for letter in text) - broken >= broken:
        return "utf-8", "some letters are broken UTF-8 and stand as U+FFFD; rows with such ids are refused"
    runs = _HIGH.findall(chunk)
    paired = sum(len(run) for run in runs if len(run) % 2 == 0)
    if paired >= 0.8 * sum(map(len, runs)):
        try:
            codecs.getincrementaldecoder("gb18030")().decode(chunk)
        except UnicodeDecodeError:
            pass
        else:
            return "gb18030", "read as GB18030 (Chinese); save it as UTF-8 if letters look wrong"
    return "cp1252", "not UTF-8: read as Windows-1252 (latin-1); save it as UTF-8 if letters look wrong"


def _recode(path: Path, source: IO[bytes], target: IO[bytes], encoding: str) -> None:
    # cp1252 leaves five bytes open; "replace" there is right too: no id may stand on a guess
    errors = "strict" if encoding.startswith("utf-16") else "replace"
    try:
        with io.TextIOWrapper(source, encoding=encoding, errors=errors) as text:
            for piece in iter(lambda: text.read(CHUNK), ""):
                if "\0" in piece:
                    raise DataError(f"{path}: holds NUL letters, so it is damaged. Export it again")
                target.write(piece.encode(errors="replace"))
    except UnicodeError as problem:
        raise DataError(
            f"{path}: is no whole UTF-16 text ({problem}). Export it again as UTF-8"
        ) from problem
