"""The quarantine file: every removed row as it stood in its source, with its number and cause."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import polars as pl

from polyscene.core.errors import StoreError
from polyscene.dataset.ledger import Ledger
from polyscene.dataset.parts import FILE, PART
from polyscene.dataset.readers import ROW, Raw

SLICE = 10_000
LONG = 10_000


def write_quarantine(path: Path, tables: Mapping[str, tuple[Raw, Ledger]]) -> None:
    """Writes all removed rows as JSON lines, replacing the file whole.

    A line is ``{"table", "source", "row", "cause", "values"}``; `row` is 0-based, `values` the raw row (or
    ``{"line": text}`` where the line was no row).

    Raises:
        StoreError: The file can't be written.
    """
    aside = path.with_name(path.name + ".part")
    encoder = msgspec.json.Encoder(enc_hook=str)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with aside.open("wb") as stream:
            for table, (raw, ledger) in tables.items():
                for line in _lines(table, raw, ledger):
                    stream.write(encoder.encode(line) + b"\n")
        aside.replace(path)
    except OSError as problem:
        raise StoreError(
            f"{path}: the quarantine can't be written ({problem}); give another place"
        ) from problem


def _lines(table: str, raw: Raw, ledger: Ledger) -> Iterator[dict[str, Any]]:
    parts = raw.parts or (raw,)
    for part in parts:
        for broken in part.broken:
            values = {"line": _short(broken.text)}
            yield {
                "table": table,
                "source": part.label,
                "row": broken.row,
                "cause": broken.cause,
                "values": values,
            }
    causes = [
        pl.DataFrame({ROW: rows.cast(pl.Int64), "__cause": [cause] * len(rows)})
        for cause, each in ledger.removed.items()
        for rows in each
    ]
    if not causes:
        return
    wanted = pl.concat(causes)
    for place, part in enumerate(parts):
        here = wanted.filter(pl.col(ROW) // PART == place).with_columns(pl.col(ROW) % PART)
        for row in _rows(part, here):
            number, cause = row.pop(ROW), row.pop("__cause")
            values = {name: _short(value) for name, value in row.items() if name != FILE}
            yield {"table": table, "source": part.label, "row": number, "cause": cause, "values": values}


def _rows(raw: Raw, wanted: pl.DataFrame) -> Iterator[dict[str, Any]]:
    if len(wanted):
        try:
            found = _joined(raw, wanted)
        except pl.exceptions.PolarsError:
            # a broken line may hide behind columns that were not asked for before
            if raw.slow is None:
                raise
            found = _joined(raw.slow(), wanted)
        for slice_ in found.iter_slices(SLICE):
            yield from slice_.iter_rows(named=True)


def _joined(raw: Raw, wanted: pl.DataFrame) -> pl.DataFrame:
    frame = raw.frame.with_columns(pl.col(ROW).cast(pl.Int64))
    return frame.join(wanted.lazy(), on=ROW, how="inner").sort(ROW).collect()


def _short(value: Any) -> Any:
    """A value as it stands, but a text of megabytes cut short with its length."""
    if isinstance(value, str) and len(value) > LONG:
        return f"{value[:LONG]}… ({len(value):,} characters)"
    return value
