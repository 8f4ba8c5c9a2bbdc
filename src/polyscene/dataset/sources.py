"""Which files of a folder hold which table, by clear rules."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from polyscene.core.errors import DataError, UnclearError, nearest
from polyscene.dataset.schema import SCHEMA, TableName

TEXT = {".csv": ",", ".tsv": "\t", ".txt": "\t"}
"""Endings of separated text, and the separator they promise."""
ATOMIC: Mapping[str, TableName] = {
    ".inter": "events",
    ".item": "items",
    ".user": "users",
    ".kg": "edges",
    ".net": "edges",
    ".link": "links",
}
"""Endings of RecBole's atomic files: tab separated, ``name:type`` headers, a quote is a plain letter."""
JSON_LINES = (".jsonl", ".ndjson", ".json")
PARQUETS = (".parquet", ".pq")
PACKED = (".gz", ".zst")
ENDINGS = (*TEXT, *ATOMIC, *JSON_LINES, *PARQUETS)
_USUAL = ".csv, .tsv, .jsonl or .parquet"
_PART = re.compile(r"[-_.]?(part|chunk|shard)?[-_.]?\d[\d\-_.]*(of[-_.]?\d+)?$")
"""What tells the files of one table apart: a number or a date at the end of the name."""

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
    "links": (("kg_links", "entity_links"),),
}
"""File names without ending, strongest tier first; two files in one tier are ambiguous."""


def ending(path: Path) -> str:
    """The ending that tells the format, without ``.gz`` or ``.zst``."""
    return Path(_unpacked(path.name)).suffix.lower()


def stem(path: Path) -> str:
    """The file's name without its endings."""
    name = _unpacked(path.name)
    return name[: len(name) - len(Path(name).suffix)]


def _unpacked(name: str) -> str:
    return name[: -len(Path(name).suffix)] if Path(name).suffix.lower() in PACKED else name


@dataclass(frozen=True, slots=True)
class Found:
    """The files of each table, in the order to read them, and sentences on what was left aside."""

    files: Mapping[TableName, tuple[Path, ...]]
    notes: tuple[str, ...] = ()


def find_files(source: Path, mapping: Mapping[str, str]) -> Found:
    """The files of each table that `source` has; a single file is the events.

    In a folder a table's file is the one `mapping` names (``events=purchases``; several with commas or a
    pattern: ``events=purchases,plays`` or ``events=orders-*``), else the one with the table's own name,
    else one with a well-known name; ``events-2024-01.csv``, ``events-2024-02.csv`` are one table. Atomic
    files tell their table by their ending.

    Raises:
        DataError: Nothing is there, no file holds events, or several could.
    """
    if source.is_file():
        _check_ending(source)
        return Found({"events": (source,)})
    files, notes = list_files(source)
    found: dict[TableName, tuple[Path, ...]] = {}
    for table in SCHEMA:
        chosen = (
            _named(files, source, table, mapping) if table in mapping else _guessed(files, source, table)
        )
        if chosen:
            found[table] = chosen
    if "events" not in found:
        raise UnclearError(
            f"{source}: no table of events; expected a file named {', '.join(STEMS['events'][0])} "
            f"({_USUAL}); {_listing(files)}. Name the file itself, or map it: --map events=NAME"
        )
    rest = [path.name for path in files if not any(path in chosen for chosen in found.values())]
    if rest:
        notes.append(f"files not used: {', '.join(rest)}")
    return Found(found, tuple(notes))


def list_files(folder: Path) -> tuple[list[Path], list[str]]:
    """The files of a folder that may be tables, by name, and notes on links that lead out of it.

    Raises:
        DataError: It is no folder, or it can't be listed.
    """
    if not folder.is_dir():
        raise DataError(
            f"{folder}: no such file or folder; give a folder with a file named events, interactions or "
            "ratings, or one file"
        )
    try:
        home = folder.resolve()
        paths = [path for path in sorted(folder.iterdir()) if ending(path) in ENDINGS and path.is_file()]
        outside = [path for path in paths if home not in path.resolve().parents]
    except OSError as problem:
        raise DataError(f"{folder}: can't be listed ({problem}); mend its permissions") from problem
    names = ", ".join(path.name for path in outside)
    notes = [f"links that lead out of the folder are not followed: {names}"] if outside else []
    return [path for path in paths if path not in outside], notes


def _check_ending(path: Path) -> None:
    if ending(path) not in ENDINGS:
        raise DataError(
            f"{path}: unknown ending {path.suffix!r}; expected {_USUAL} (text also as .gz, .zst), or "
            "an atomic file such as .inter. Rename or convert the file"
        )


def _named(
    files: Sequence[Path], source: Path, table: TableName, mapping: Mapping[str, str]
) -> tuple[Path, ...]:
    chosen: list[Path] = []
    for name in filter(None, mapping[table].split(",")):
        matches = [
            path for path in files if name in (path.name, stem(path)) or fnmatchcase(path.name, name)
        ]
        if not matches or (len(matches) > 1 and "*" not in name):
            hint = nearest(name, [path.name for path in matches or files])
            raise DataError(f"{source}: {table}={name} names {len(matches)} files, expected one{hint}")
        chosen += [path for path in matches if path not in chosen]
    return tuple(chosen)


def _guessed(files: Sequence[Path], source: Path, table: TableName) -> tuple[Path, ...]:
    atomic = [path for path in files if ATOMIC.get(ending(path)) == table]
    plain = [[path for path in files if family(path) in stems] for stems in STEMS[table]]
    for chosen in (*plain, atomic):
        if len(chosen) == 1 or len({(family(path), ending(path)) for path in chosen}) == 1:
            return tuple(chosen)
        if chosen and table != "edges":
            raise UnclearError(
                f"{source}: {len(chosen)} files could hold the {table}: "
                f"{', '.join(path.name for path in chosen)}. Choose one: --map {table}={chosen[0].name}, "
                "or several, separated by commas"
            )
    return ()


def family(path: Path) -> str:
    """The name that the parts of one table share: the stem without the number or date at its end."""
    name = stem(path).lower()
    return _PART.sub("", name) or name


def _listing(files: Sequence[Path]) -> str:
    return (
        f"found {', '.join(path.name for path in files)}" if files else "found no file with such an ending"
    )
