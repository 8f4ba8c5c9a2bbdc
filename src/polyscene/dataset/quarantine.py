"""The quarantine file: every removed row as it stood in its source, with its number and cause."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import polars as pl

from polyscene.core.errors import StoreError
from polyscene.dataset.ledger import Ledger
from polyscene.dataset.readers import ROW, Raw

SLICE = 10_000


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
    about = {"table": table, "source": raw.label}
    for broken in raw.broken:
        yield {**about, "row": broken.row, "cause": broken.cause, "values": {"line": broken.text}}
    causes = [
        pl.DataFrame({ROW: rows.cast(pl.Int64), "__cause": [cause] * len(rows)})
        for cause, parts in ledger.removed.items()
        for rows in parts
    ]
    if not causes:
        return
    wanted = pl.concat(causes)
    frame = raw.frame.with_columns(pl.col(ROW).cast(pl.Int64))
    found = frame.join(wanted.lazy(), on=ROW, how="inner").sort(ROW).collect()
    for part in found.iter_slices(SLICE):
        for row in part.iter_rows(named=True):
            number, cause = row.pop(ROW), row.pop("__cause")
            yield {**about, "row": number, "cause": cause, "values": row}
