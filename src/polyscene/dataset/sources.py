"""Which file of a folder holds which table, by clear rules."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from polyscene.core.errors import DataError, nearest
from polyscene.dataset.schema import SCHEMA, TableName

TEXT = {".csv": ",", ".tsv": "\t"}
"""Endings of separated text, and the separator they promise."""
ATOMIC: Mapping[str, TableName | None] = {
    ".inter": "events",
    ".item": "items",
    ".user": "users",
    ".kg": "edges",
    ".net": "edges",
    ".link": None,
}
"""Endings of RecBole's atomic files: tab separated, ``name:type`` headers, a quote is a plain letter."""
JSON_LINES = (".jsonl", ".ndjson", ".json")
PARQUET = (".parquet", ".pq")
ENDINGS = (*TEXT, *ATOMIC, *JSON_LINES, *PARQUET)
_USUAL = ".csv, .tsv, .jsonl or .parquet"

STEMS: Mapping[TableName, tuple[tuple[str, ...], ...]] = {
    "events": (
        ("events", "interactions", "ratings"),
        (
            *("usage", "sessions", "baskets", "purchases", "plays", "play_hours", "clicks", "impressions"),
            *("feedback", "logged_feedback", "transactions", "reviews", "comments", "user_artists"),
        ),
    ),
    "items": (
        ("items",),
        (
            *("movies", "books", "products", "games", "artists", "songs", "tracks", "videos", "stories"),
            *("news", "articles", "item_context"),
        ),
    ),
    "users": (("users",), ("customers", "members")),
    "edges": (("edges",), ("user_friends", "friends", "trust", "citations", "kg_triples", "triples")),
}
"""File names without ending, strongest tier first; two files in one tier are ambiguous."""


def ending(path: Path) -> str:
    """The ending that tells the format, without ``.gz``."""
    name = path.name.lower().removesuffix(".gz")
    return Path(name).suffix


@dataclass(frozen=True, slots=True)
class Found:
    """The file of each table, and a sentence on what was left aside."""

    files: Mapping[TableName, Path]
    notes: tuple[str, ...] = ()


def find_files(source: Path, mapping: Mapping[str, str]) -> Found:
    """The file of each table that `source` has; a single file is the events.

    In a folder a table's file is the one `mapping` names (``events=purchases``), else the one with the
    table's own name, else one with a well-known name. Atomic files tell their table by their ending.

    Raises:
        DataError: Nothing is there, no file holds events, or several could.
    """
    if source.is_file():
        _check_ending(source)
        return Found({"events": source})
    if not source.is_dir():
        raise DataError(
            f"{source}: no such file or folder; give a folder with a file named events, interactions or "
            "ratings, or one file"
        )
    files = [path for path in sorted(source.iterdir()) if path.is_file() and ending(path) in ENDINGS]
    found: dict[TableName, Path] = {}
    for table in SCHEMA:
        path = _named(files, source, table, mapping) if table in mapping else _guessed(files, source, table)
        if path:
            found[table] = path
    if "events" not in found:
        raise DataError(
            f"{source}: no table of events; expected a file named {', '.join(STEMS['events'][0])} "
            f"({_USUAL}); {_listing(files)}. Name the file itself, or map it: --map events=NAME"
        )
    rest = [path.name for path in files if path not in found.values()]
    return Found(found, (f"files not used: {', '.join(rest)}",) if rest else ())


def _check_ending(path: Path) -> None:
    if ending(path) not in ENDINGS:
        raise DataError(
            f"{path}: unknown ending {path.suffix!r}; expected {_USUAL} (text may be compressed as .gz), "
            "or an atomic file such as .inter. Rename or convert the file"
        )


def _named(
    files: Sequence[Path], source: Path, table: TableName, mapping: Mapping[str, str]
) -> Path | None:
    name = mapping[table]
    if not name:
        return None
    chosen = [path for path in files if name in (path.name, _stem(path))]
    if len(chosen) == 1:
        return chosen[0]
    hint = nearest(name, [path.name for path in chosen or files])
    raise DataError(f"{source}: {table}={name} names {len(chosen)} files, expected one{hint}")


def _guessed(files: Sequence[Path], source: Path, table: TableName) -> Path | None:
    atomic = [path for path in files if ATOMIC.get(ending(path)) == table]
    plain = [[path for path in files if _stem(path).lower() in stems] for stems in STEMS[table]]
    for chosen in (*plain, atomic):
        if len(chosen) == 1:
            return chosen[0]
        if chosen and table != "edges":
            raise DataError(
                f"{source}: {len(chosen)} files could hold the {table}: "
                f"{', '.join(path.name for path in chosen)}. Choose one: --map {table}={chosen[0].name}"
            )
    return None


def _stem(path: Path) -> str:
    return path.name[: len(path.name.lower().removesuffix(".gz")) - len(ending(path))]


def _listing(files: Sequence[Path]) -> str:
    return (
        f"found {', '.join(path.name for path in files)}" if files else "found no file with such an ending"
    )
