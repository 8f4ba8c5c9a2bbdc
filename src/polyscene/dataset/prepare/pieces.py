"""A raw table in pieces, each small, in order, from any place on."""

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import polars as pl

from polyscene.core.errors import DataError
from polyscene.dataset.parts import FILE, PART, stacked
from polyscene.dataset.readers import ROW, Broken, Layout, Raw, quoting_of
from polyscene.dataset.sources import stem

ROW_BYTES = 48
"""What a row of a usual events table takes in a file."""


class Mark(msgspec.Struct, frozen=True):
    """A place between two rows: the part (file), its offset in bytes (text) or rows, the rows before it.

    `slow`: whether the part had to be read line by line.
    """

    part: int = 0
    offset: int = 0
    row: int = 0
    slow: bool = False


@dataclass(frozen=True, slots=True)
class Piece:
    """Some rows with `ROW`, the lines among them that are none, and the place behind them."""

    frame: pl.DataFrame
    end: Mark
    broken: tuple[Broken, ...] = ()


def pieces(raw: Raw, columns: Sequence[str], size: int, start: Mark) -> Iterator[Piece]:
    """The given columns from `start` on, in pieces of about `size` bytes of the file.

    Separated text is cut at line ends and each piece read as `readers.scan` would read the whole, so a
    broken line makes one piece slow. JSON lines and Parquet come as Polars streams them.

    Raises:
        DataError: The source can't be read to its end.
    """
    parts = raw.parts or (raw,)
    schema = _schema(parts, columns)
    for place in range(start.part, len(parts)):
        mark = start if place == start.part else Mark(place)
        part = parts[place]
        wanted = [column for column in columns if column in part.columns]
        try:
            found = _of_text(part, size, mark) if part.layout else _streamed(part, wanted, size, mark)
            for piece in found:
                frame = piece.frame.with_columns(pl.lit(stem(Path(part.label))).alias(FILE))
                yield Piece(_fitted(frame, schema, place), piece.end, piece.broken)
        except (pl.exceptions.PolarsError, OSError) as problem:
            said = str(problem).strip().partition("\n")[0]
            raise DataError(
                f"{part.label}: can't be read ({said}); it may be cut short or damaged. Export it again"
            ) from problem


def weight(raw: Raw, size: int) -> int:
    """About how many pieces of `size` bytes there will be."""
    total = 0
    for part in raw.parts or (raw,):
        if part.layout:
            total += 1 + part.layout.path.stat().st_size // size
        elif part.slow:
            total += 1 + Path(part.label).stat().st_size // size
        else:
            rows = part.frame.select(pl.len()).collect().item()
            total += 1 + rows * ROW_BYTES // size
    return total


def _schema(parts: Sequence[Raw], columns: Sequence[str]) -> dict[str, pl.DataType]:
    """The type of each column over all parts, as `parts.collect_all` finds it."""
    empty = [
        part.frame.select(ROW, *(name for name in columns if name in part.columns))
        .collect_schema()
        .to_frame()
        for part in parts
    ]
    found = stacked(empty).schema
    return {name: found[name] for name in (ROW, *columns)}


def _fitted(frame: pl.DataFrame, schema: dict[str, pl.DataType], place: int) -> pl.DataFrame:
    row = pl.col(ROW).cast(pl.Int64) + place * PART
    there = frame.columns
    fields = [
        pl.col(name).cast(kind) if name in there else pl.lit(None, kind).alias(name)
        for name, kind in schema.items()
        if name != ROW
    ]
    return frame.select(row, *fields)


def _streamed(raw: Raw, columns: list[str], size: int, mark: Mark) -> Iterator[Piece]:
    try:
        if not mark.slow:
            for piece in _batches(raw, columns, size, mark):
                mark = piece.end
                yield piece
            return
    except pl.exceptions.PolarsError:
        if raw.slow is None:
            raise
    again = raw.slow() if raw.slow else raw
    broken = () if mark.slow else again.broken
    for piece in _batches(again, columns, size, Mark(mark.part, mark.offset, mark.row, slow=True)):
        yield Piece(piece.frame, piece.end, broken)
        broken = ()


def _batches(raw: Raw, columns: list[str], size: int, mark: Mark) -> Iterator[Piece]:
    done = mark.offset
    frame = raw.frame.select(ROW, *columns).slice(done)
    for batch in frame.collect_batches(chunk_size=max(1, size // ROW_BYTES), maintain_order=True):
        done += len(batch)
        if len(batch):
            yield Piece(batch, Mark(mark.part, done, int(batch[ROW][-1]) + 1, mark.slow))


def _of_text(raw: Raw, size: int, mark: Mark) -> Iterator[Piece]:
    layout, row, first = raw.layout, mark.row, mark.offset == 0
    assert layout is not None
    names = [name for name in raw.columns if name != FILE]
    for block, offset in _blocks(layout, size, mark.offset):
        skip = _head(block, layout) if first else 0
        first = False
        frame, broken, rows = _read(raw.label, block[skip:], names, layout, row)
        row += rows
        yield Piece(frame, Mark(mark.part, offset, row), broken)


def _blocks(layout: Layout, size: int, offset: int) -> Iterator[tuple[bytes, int]]:
    """Whole lines of the file, and the offset behind them."""
    with layout.path.open("rb") as stream:
        stream.seek(offset)
        rest = b""
        while chunk := stream.read(size):
            block = rest + chunk
            cut = _cut(block, layout.quotes)
            if not cut and len(block) > 8 * size:
                cut = block.rfind(b"\n") + 1  # a lone quote, then: the lines behind it tell
            rest = block[cut:]
            if cut:
                offset += cut
                yield block[:cut], offset
        if rest:
            yield rest, offset + len(rest)


def _cut(block: bytes, quotes: bool) -> int:
    """Behind the last line end that is in no quotes; 0 where there is none."""
    inside = block.count(b'"') if quotes else 0
    end = len(block)
    while True:
        before = block.rfind(b"\n", 0, end)
        if before < 0:
            return 0
        inside -= block.count(b'"', before, end) if inside else 0
        if inside % 2 == 0:
            return before + 1
        end = before


def _head(block: bytes, layout: Layout) -> int:
    """Where the rows begin, behind the line of names."""
    end = -1
    while True:
        end = block.find(b"\n", end + 1)
        if end < 0:
            return len(block)
        if not layout.quotes or block.count(b'"', 0, end) % 2 == 0:
            return end + 1


def _read(
    label: str, block: bytes, names: list[str], layout: Layout, row: int
) -> tuple[pl.DataFrame, tuple[Broken, ...], int]:
    """The rows of a block, its broken lines, and how many of both there are."""
    schema = dict.fromkeys(names, pl.String)
    if not block:
        return pl.DataFrame(schema={ROW: pl.Int64, **schema}), (), 0
    try:
        frame = pl.read_csv(
            block,
            has_header=False,
            schema=schema,
            separator=layout.separator,
            quote_char='"' if layout.quotes else None,
        ).with_row_index(ROW, offset=row)
    except pl.exceptions.PolarsError:
        return _read_slowly(label, block, names, layout, row)
    return frame, (), len(frame)


def _read_slowly(
    label: str, block: bytes, names: list[str], layout: Layout, row: int
) -> tuple[pl.DataFrame, tuple[Broken, ...], int]:
    """The slow twin of `_read`: line by line, what is no row kept beside."""
    text = io.StringIO(block.decode(), newline="")
    quoting = quoting_of(layout.quotes)
    reader = csv.reader(text, delimiter=layout.separator, quoting=quoting, strict=True)
    rows: list[list[str | int | None]] = []
    broken: list[Broken] = []
    number = row
    try:
        for number, cells in enumerate(reader, row):
            if len(cells) > len(names):
                cause = f"{len(cells)} fields where the header has {len(names)}"
                broken.append(Broken(number, cause, layout.separator.join(cells)))
            else:
                rows.append(
                    [number, *(cell or None for cell in cells), *[None] * (len(names) - len(cells))]
                )
    except csv.Error as problem:
        raise DataError(
            f"{label}: after row {number}: {problem}; a quote must be closed, and doubled inside quotes. "
            "Mend the line, or save the table as TSV, where a quote is a plain letter"
        ) from problem
    frame = pl.DataFrame(rows, schema={ROW: pl.Int64, **dict.fromkeys(names, pl.String)}, orient="row")
    return frame, tuple(broken), len(rows) + len(broken)
