"""How results are shown: one JSON value on standard output, or a table for a person."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import typer


def as_json(value: Any) -> None:
    """Prints `value` as one JSON document; NaN and infinity become null, paths their text."""
    typer.echo(msgspec.json.format(msgspec.json.encode(value, enc_hook=str)).decode())


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Prints a table to standard output; texts are shown as they are, never read as markup."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    sheet = Table(title=title or None, title_justify="left", header_style="bold")
    for column in columns:
        sheet.add_column(column, overflow="fold")
    for row in rows:
        sheet.add_row(*(Text(_text(cell)) for cell in row))
    Console().print(sheet)


def profile(folder: Path | None) -> None:
    """The tables of a profiled training, on standard error; nothing without a folder."""
    tables = [] if folder is None else sorted(folder.rglob("*.txt"))
    for path in tables:
        note(f"{path.stem}: a step's operations by time; the trace is {path.with_suffix('.trace.json')}")
        note(path.read_text(encoding="utf-8"))


def note(text: str) -> None:
    """A line for the person at the terminal, on standard error."""
    typer.echo(text, err=True)


def _text(cell: object) -> str:
    if isinstance(cell, float):
        return f"{cell:.4f}" if abs(cell) < 100 else f"{cell:,.0f}"
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    if isinstance(cell, int):
        return f"{cell:,}"
    return "" if cell is None else str(cell)
