"""Raw tables from files: separated text, atomic files, JSON lines and Parquet, scanned lazily.

Each format has a fast path (Polars) and, where lines can be broken, a slow twin that reads line by line
and keeps what it can't use beside the table, so that one bad line never costs the others.
"""

import csv
import json
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

import polars as pl

from polyscene.core.errors import DataError
from polyscene.dataset.plain import PARQUET, Plain, check_regular, magic, plain
from polyscene.dataset.sources import ATOMIC, JSON_LINES, PARQUETS, TEXT, ending

ROW = "__row"
"""Column with the 0-based number of each row (text and JSON lines: each record) in the raw file."""
SEPARATORS = (",", ";", "\t", "|")
LOOK = 20
"""Lines that are looked at to tell the separator."""
MAX_COLUMNS = 10_000
csv.field_size_limit(1 << 30)  # as Polars: a long description is no fault; ids have a limit of their own


@dataclass(frozen=True, slots=True)
class Broken:
    """A line that is no row: its number, why, and its text."""

    row: int
    cause: str
    text: str


@dataclass(frozen=True, slots=True)
class Layout:
    """How a separated text is laid out: its file as plain UTF-8, separator, and whether quotes quote."""

    path: Path
    separator: str
    quotes: bool


@dataclass(frozen=True, slots=True)
class Raw:
    """One table as it stands in its source; nothing is interpreted yet.

    `label` names the source in every message. `frame` has a `ROW` column besides `columns`. `kinds`: what
    an atomic header says of a column (``token_seq``). `slow` reads again, line by line, when the fast
    path fails. `notes`: how the file was read. `keep` holds what must outlive the frame. `parts`: the raw
    tables that this one was laid together from (see `parts`). `layout`: of separated text.
    """

    label: str
    frame: pl.LazyFrame
    columns: tuple[str, ...]
    kinds: Mapping[str, str] = field(default_factory=dict)
    broken: tuple[Broken, ...] = ()
    slow: "Callable[[], Raw] | None" = None
    notes: tuple[str, ...] = ()
    keep: object = None
    parts: "tuple[Raw, ...]" = ()
    layout: Layout | None = None


def scan(path: Path) -> Raw:
    """The table in a file, by its first bytes and its ending; rows are not read yet.

    Raises:
        DataError: The file is empty, damaged, no regular file, no text, or has no usable header.
    """
    try:
        check_regular(path)
        if magic(path) == PARQUET:
            return raw_of(str(path), pl.scan_parquet(path))
        kind = ending(path)
        if kind in PARQUETS:
            raise DataError(
                f"{path}: can't be read as Parquet (it does not begin with PAR1); it may be cut short or "
                "damaged. Export it again"
            )
        text = plain(path)
        json_lines = kind in JSON_LINES or (kind not in ATOMIC and _first(text.path)[:1] == "{")
        raw = _json(path, text) if json_lines else _separated(path, text, kind)
    except (pl.exceptions.PolarsError, OSError, EOFError, zlib.error) as problem:
        raise _unreadable(str(path), problem) from problem
    return replace(raw, notes=text.notes, keep=text.keep)


def _first(path: Path) -> str:
    return next((line for line in _lines(path) if line.strip()), "").lstrip()


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


def _lines(path: Path) -> Iterator[str]:
    with path.open(encoding="utf-8-sig", newline="") as stream:
        yield from stream


def _separated(path: Path, text: Plain, kind: str) -> Raw:
    head = list(islice(_lines(text.path), LOOK))
    if not "".join(head).strip():
        raise DataError(f"{path}: holds nothing but blanks; expected a header and rows. Export it again")
    separator = "\t" if kind in ATOMIC else _separator(head, TEXT.get(kind, ","))
    quotes = separator != "\t" or kind == ".csv"
    reader = csv.reader([head[0].rstrip("\r\n")], delimiter=separator, quoting=quoting_of(quotes))
    names, kinds = _header(path, next(reader, []), atomic=kind in ATOMIC)
    frame = pl.scan_csv(
        text.path,
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
        slow=lambda: _separated_slowly(path, text, names, kinds, separator, quotes=quotes),
        layout=Layout(text.path, separator, quotes),
    )


def _separator(head: list[str], promised: str) -> str:
    """What splits most lines into as many fields as the header has; the promised one where several do."""

    def fit(mark: str) -> tuple[float, int, bool]:
        counts = [len(next(csv.reader([line], delimiter=mark), [])) for line in head if line.strip()]
        alike = sum(count == counts[0] for count in counts) / len(counts) if counts and counts[0] > 1 else 0
        return round(alike, 1), counts[0] if counts else 0, mark == promised

    return max(SEPARATORS, key=fit)


def quoting_of(quotes: bool) -> Any:
    """What the csv module calls it: whether quotes quote or are plain letters."""
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
    if len(names) > MAX_COLUMNS:
        raise DataError(
            f"{path}: {len(names):,} columns; expected {MAX_COLUMNS:,} at most. Keep those that matter, or "
            "write one row per value"
        )
    seen = Counter(names)
    for name in names:
        if not name or seen[name] > 1:
            raise DataError(
                f"{path}: column name {name!r} is {'missing' if not name else 'there twice'} in the first "
                f"line ({', '.join(cells[:12])}); give each column its own name"
            )
    return names, kinds


def _separated_slowly(
    path: Path, text: Plain, names: list[str], kinds: Mapping[str, str], separator: str, *, quotes: bool
) -> Raw:
    rows: list[list[str | None]] = []
    broken: list[Broken] = []
    reader = csv.reader(_lines(text.path), delimiter=separator, quoting=quoting_of(quotes), strict=True)
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
    return Raw(str(path), numbered.lazy(), tuple(names), kinds, tuple(broken), notes=text.notes)


def _json(path: Path, text: Plain) -> Raw:
    if _first(text.path)[:1] == "[":
        raise DataError(
            f"{path}: one JSON array; expected JSON lines, one object a line. "
            "Convert it, for instance: jq -c '.[]' OLD > NEW.jsonl"
        )
    try:
        frame = pl.scan_ndjson(text.path, infer_schema_length=None)
        columns = tuple(frame.collect_schema().names())
    except pl.exceptions.PolarsError:
        return _json_slowly(path, text)
    return Raw(str(path), frame.with_row_index(ROW), columns, slow=lambda: _json_slowly(path, text))


def _json_slowly(path: Path, text: Plain) -> Raw:
    rows: list[dict[str, Any]] = []
    broken: list[Broken] = []
    for number, line in enumerate(each for each in _lines(text.path) if each.strip()):
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
    return Raw(str(path), frame.lazy(), names, broken=tuple(broken), notes=text.notes)


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
