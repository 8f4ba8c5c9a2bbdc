"""Raw tables from files: separated text, atomic files, JSON lines and Parquet, scanned lazily.

Each format has a fast path (Polars) and, where lines can be broken, a slow twin that reads line by line
and keeps what it can't use beside the table, so that one bad line never costs the others.
"""

import codecs
import csv
import gzip
import io
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import IO, Any

import polars as pl

from polyscene.core.errors import DataError
from polyscene.dataset.sources import ATOMIC, JSON_LINES, PARQUET, TEXT, ending

ROW = "__row"
"""Column with the 0-based number of each row (text and JSON lines: each record) in the raw file."""
CHUNK = 1 << 20
SEPARATORS = (",", ";", "\t", "|")


@dataclass(frozen=True, slots=True)
class Broken:
    """A line that is no row: its number, why, and its text."""

    row: int
    cause: str
    text: str


@dataclass(frozen=True, slots=True)
class Raw:
    """One table as it stands in its source; nothing is interpreted yet.

    `label` names the source in every message. `frame` has a `ROW` column besides `columns`. `kinds`: what
    an atomic header says of a column (``token_seq``). `slow` reads again, line by line, when the fast
    path fails.
    """

    label: str
    frame: pl.LazyFrame
    columns: tuple[str, ...]
    kinds: Mapping[str, str] = field(default_factory=dict)
    broken: tuple[Broken, ...] = ()
    slow: "Callable[[], Raw] | None" = None


def scan(path: Path) -> Raw:
    """The table in a file, by its ending; rows are not read yet.

    Raises:
        DataError: The file is empty, damaged, not UTF-8, or has no usable header.
    """
    kind = ending(path)
    try:
        if kind in PARQUET:
            return raw_of(str(path), pl.scan_parquet(path))
        check_text(path)
        return _json(path) if kind in JSON_LINES else _separated(path, kind)
    except (pl.exceptions.PolarsError, OSError, EOFError) as problem:
        raise _unreadable(str(path), problem) from problem


def raw_of(label: str, frame: pl.LazyFrame) -> Raw:
    """A lazy frame as a raw table, its rows numbered as they stand."""
    columns = tuple(frame.collect_schema().names())
    return Raw(label, frame.with_row_index(ROW), columns)


def collect(raw: Raw, columns: list[str]) -> tuple[pl.DataFrame, Raw]:
    """The rows of the given columns, with `ROW`, and the raw table they came from in the end.

    Raises:
        DataError: The file can't be read to its end.
    """
    try:
        return raw.frame.select(ROW, *columns).collect(), raw
    except (pl.exceptions.PolarsError, OSError) as problem:
        if raw.slow is None:
            raise _unreadable(raw.label, problem) from problem
    again = raw.slow()
    return again.frame.select(ROW, *columns).collect(), again


def check_text(path: Path) -> None:
    """Reads a text file once to be sure that it is UTF-8 without NUL bytes.

    Raises:
        DataError: It is not; the message tells the line.
    """
    decoder = codecs.getincrementaldecoder("utf-8")()
    lines, empty = 1, True
    with _open(path) as stream:
        for chunk in iter(lambda: stream.read(CHUNK), b""):
            if b"\0" in chunk:
                line = lines + chunk[: chunk.index(b"\0")].count(b"\n")
                raise DataError(
                    f"{path}: line {line} holds a NUL byte, so this is UTF-16 or no text at all; "
                    "expected UTF-8. Save it as UTF-8"
                )
            try:
                decoder.decode(chunk)
            except UnicodeDecodeError as problem:
                line = lines + chunk[: problem.start].count(b"\n")
                raise DataError(
                    f"{path}: line {line} is not UTF-8 (byte 0x{problem.object[problem.start]:02x}); "
                    "convert it first, for instance: iconv -f latin1 -t utf-8 OLD > NEW"
                ) from problem
            lines += chunk.count(b"\n")
            empty = False
    if empty:
        raise DataError(f"{path}: the file is empty; expected a header and rows. Export it again")
    if decoder.getstate()[0]:
        raise DataError(f"{path}: it ends inside a letter, so it is cut short. Export it again")


def _open(path: Path) -> IO[bytes]:
    return gzip.open(path, "rb") if path.suffix.lower() == ".gz" else path.open("rb")  # type: ignore[return-value]


def _lines(path: Path) -> Iterator[str]:
    with io.TextIOWrapper(_open(path), encoding="utf-8-sig", newline="") as stream:
        yield from stream


def _separated(path: Path, kind: str) -> Raw:
    first = next(_lines(path)).rstrip("\r\n")
    separator = "\t" if kind in ATOMIC else _separator(first, TEXT[kind])
    quotes = separator != "\t"
    header = next(csv.reader([first], delimiter=separator, quoting=_quoting(quotes)), [])
    names, kinds = _header(path, header, atomic=kind in ATOMIC)
    frame = pl.scan_csv(
        path,
        separator=separator,
        quote_char='"' if quotes else None,
        infer_schema=False,
        new_columns=names,
    )
    return Raw(
        str(path),
        frame.with_row_index(ROW),
        tuple(names),
        kinds,
        slow=lambda: _separated_slowly(path, separator, names, kinds),
    )


def _separator(header: str, promised: str) -> str:
    return promised if promised in header else max(SEPARATORS, key=header.count)


def _quoting(quotes: bool) -> Any:
    return csv.QUOTE_MINIMAL if quotes else csv.QUOTE_NONE


def _header(path: Path, header: list[str], *, atomic: bool) -> tuple[list[str], dict[str, str]]:
    cells = [cell.strip() for cell in header]
    names = [cell.rpartition(":")[0] or cell if atomic else cell for cell in cells]
    kinds = {name: cell.rpartition(":")[2] for name, cell in zip(names, cells, strict=True) if atomic}
    if names and all(name.replace(".", "", 1).lstrip("-").isdigit() for name in names):
        raise DataError(
            f"{path}: the first line ({', '.join(cells[:6])}) looks like data; expected column names. "
            "Add a line such as: user,item,rating,timestamp"
        )
    for name in names:
        if not name or names.count(name) > 1:
            raise DataError(
                f"{path}: column name {name!r} is {'missing' if not name else 'there twice'} in the first "
                f"line ({', '.join(cells[:12])}); give each column its own name"
            )
    return names, kinds


def _separated_slowly(path: Path, separator: str, names: list[str], kinds: Mapping[str, str]) -> Raw:
    rows: list[list[str | None]] = []
    broken: list[Broken] = []
    quotes = separator != "\t"
    reader = csv.reader(_lines(path), delimiter=separator, quoting=_quoting(quotes), strict=True)
    try:
        for number, cells in enumerate(islice(reader, 1, None)):
            if len(cells) > len(names):
                cause = f"{len(cells)} fields where the header has {len(names)}"
                broken.append(Broken(number, cause, separator.join(cells)))
            else:
                rows.append(
                    [str(number), *(cell or None for cell in cells), *[None] * (len(names) - len(cells))]
                )
    except csv.Error as problem:
        raise DataError(
            f"{path}: line {reader.line_num}: {problem}; a quote must be closed, and doubled inside "
            "quotes. Mend the line, or save the table as TSV, where a quote is a plain letter"
        ) from problem
    frame = pl.DataFrame(rows, schema=dict.fromkeys([ROW, *names], pl.String), orient="row")
    numbered = frame.with_columns(pl.col(ROW).cast(pl.UInt32))
    return Raw(str(path), numbered.lazy(), tuple(names), kinds, tuple(broken))


def _json(path: Path) -> Raw:
    if next(_lines(path)).lstrip().startswith("["):
        raise DataError(
            f"{path}: one JSON array; expected JSON lines, one object a line. "
            "Convert it, for instance: jq -c '.[]' OLD > NEW.jsonl"
        )
    try:
        frame = pl.scan_ndjson(path, infer_schema_length=None)
        columns = tuple(frame.collect_schema().names())
    except pl.exceptions.PolarsError:
        return _json_slowly(path)
    return Raw(str(path), frame.with_row_index(ROW), columns, slow=lambda: _json_slowly(path))


def _json_slowly(path: Path) -> Raw:
    rows: list[dict[str, Any]] = []
    broken: list[Broken] = []
    for number, line in enumerate(text for text in _lines(path) if text.strip()):
        record = _record(line)
        if record is None:
            broken.append(Broken(number, "not a JSON object", line.rstrip()))
        else:
            rows.append({**record, ROW: number})
    if not rows:
        raise DataError(f"{path}: none of {len(broken)} lines is a JSON object; expected one object a line")
    try:
        frame = pl.DataFrame(rows, infer_schema_length=None, strict=False)
    except (pl.exceptions.PolarsError, TypeError, OverflowError) as problem:
        raise _unreadable(str(path), problem) from problem
    names = tuple(name for name in frame.columns if name != ROW)
    return Raw(str(path), frame.lazy(), names, broken=tuple(broken))


def _record(line: str) -> dict[str, Any] | None:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(record, dict):
        return None
    # numbers beyond 64 bits can only be ids: as text they keep every digit
    return {
        key: str(value) if isinstance(value, int) and abs(value) >= 2**63 else value
        for key, value in record.items()
    }


def _unreadable(label: str, problem: Exception) -> DataError:
    said = str(problem).strip().partition("\n")[0]
    return DataError(f"{label}: can't be read ({said}); it may be cut short or damaged. Export it again")
