"""Tables whose meaning is open, and how much each looks like items, users or edges."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from polyscene.core.errors import DataError
from polyscene.dataset.infer.profile import Profile, profiles
from polyscene.dataset.infer.roles import Entity, Guess
from polyscene.dataset.infer.vocabulary import file_named, named
from polyscene.dataset.parts import scan_all
from polyscene.dataset.schema import TableName
from polyscene.dataset.sources import ATOMIC, ending, family, list_files

LEAST = 0.5
"""Below this score a file is not taken for a table."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """A table whose meaning is open: its files, and what its columns look like."""

    paths: tuple[Path, ...]
    columns: Mapping[str, Profile]
    label: str

    @property
    def name(self) -> str:
        """What the table is called, without numbers and endings."""
        return family(self.paths[0])

    @property
    def rows(self) -> int:
        """Rows looked at."""
        return max((each.rows for each in self.columns.values()), default=0)


@dataclass(slots=True)
class Draft:
    """The proposal while it grows."""

    sheets: list[Sheet]
    tables: dict[TableName, tuple[Sheet, ...]] = field(default_factory=dict)
    guesses: list[Guess] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def column(self, role: str) -> Profile | None:
        """The column of the events that was taken for a field."""
        for guess in self.guesses:
            if (guess.table, guess.field) == ("events", role):
                return self.tables["events"][0].columns[guess.column]
        return None

    def free(self) -> list[Sheet]:
        """The sheets that are no table yet."""
        taken = [sheet for chosen in self.tables.values() for sheet in chosen]
        return [sheet for sheet in self.sheets if sheet not in taken]


def read_sheets(source: Path) -> tuple[list[Sheet], list[str]]:
    """Every table of a file or folder, files of one family together, and notes on what can't be read.

    Raises:
        DataError: There is no file that can be read at all.
    """
    files, notes = ([source], []) if source.is_file() else list_files(source)
    groups: dict[tuple[str, str], list[Path]] = {}
    for path in files:
        groups.setdefault((family(path), ending(path)), []).append(path)
    sheets: list[Sheet] = []
    for paths in groups.values():
        alike: dict[tuple[str, ...], list[Path]] = {}
        for path in paths:
            try:
                alike.setdefault(scan_all([path]).columns, []).append(path)
            except DataError as problem:
                notes.append(f"not used: {problem}")
        for together in alike.values():
            columns = profiles(scan_all(together))
            label = ", ".join(path.name for path in together[:3]) + (" ..." if len(together) > 3 else "")
            sheets.append(Sheet(tuple(together), columns, label))
    if not sheets:
        said = "; ".join(notes) or "no file with a known ending"
        raise DataError(
            f"{source}: nothing that can be read ({said}). Give CSV, JSON lines or Parquet files"
        )
    return sheets, notes


def ends_of(sheet: Sheet) -> tuple[Profile, Profile] | None:
    """The two columns that an edge would lead from and to."""
    ids = [column for column in sheet.columns.values() if column.ids]
    pairs = [(a, b) for a in ids for b in ids if a is not b]
    if not pairs:
        return None

    def score(pair: tuple[Profile, Profile]) -> float:
        first, second = pair
        order = 0.1 * (ids.index(first) < ids.index(second))
        return named(first.name, "source") + named(second.name, "target") + order - _relation(pair)

    return max(pairs, key=score)


def _relation(pair: tuple[Profile, Profile]) -> float:
    return max(named(each.name, "relation") for each in pair)


def edge_score(sheet: Sheet) -> float:
    """How much a sheet looks like edges: what its columns and its file are called, and its ends' ids."""
    ends = ends_of(sheet)
    if ends is None or any(column.prose for column in sheet.columns.values()):
        return 0.0
    first, second = ends
    names = (named(first.name, "source") + named(second.name, "target")) / 2
    twice = any(min(named(first.name, role), named(second.name, role)) >= 0.5 for role in ("user", "item"))
    mutual = min(first.within(second), second.within(first)) > 0.3
    own = ATOMIC.get(ending(sheet.paths[0])) == "edges"
    return min(1.0, names * 0.7 + 0.4 * file_named(sheet.name, "edges") + 0.5 * (twice and mutual) + own)


def keys_of(sheet: Sheet) -> list[Profile]:
    """Columns that could be the key of a table of things, likeliest first."""
    keys = [
        column
        for column in sheet.columns.values()
        if column.ids
        and column.missing < 0.05
        and not column.prose
        and column.distinct >= 0.5 * column.rows
    ]
    places = {name: place for place, name in enumerate(sheet.columns)}

    def score(column: Profile) -> float:
        name = max(named(column.name, "item"), named(column.name, "user"))
        return name + 0.6 * column.unique - 0.1 * min(3, places[column.name])

    return sorted(keys, key=score, reverse=True)


def entities(sheets: Iterable[Sheet]) -> list[Entity]:
    """The sheets that could be tables of things, with every key that each could have."""
    return [
        Entity(key, entity_score(sheet, "items"), entity_score(sheet, "users"))
        for sheet in sheets
        for key in keys_of(sheet)
    ]


def entity_score(sheet: Sheet, table: str) -> float:
    """How much a sheet looks like items or users: its name, a key, and titles or facts about people."""
    columns = sheet.columns.values()
    keyed = any(column.ids and column.unique for column in columns)
    attributes = sum(not column.unique or column.prose for column in columns)
    if not attributes or not (keyed or file_named(sheet.name, table)):
        return 0.0
    if table == "items":
        told = max((named(c.name, r) for c in columns for r in ("title", "text")), default=0.0)
        prose = max((1.0 * c.prose for c in columns), default=0.0)
        score = 0.4 * file_named(sheet.name, table) + 0.3 * (told >= 0.5) + 0.4 * prose
    else:
        people = sum(named(c.name, "person") >= 0.7 for c in columns)
        prose = any(c.prose for c in columns)
        score = 0.5 * file_named(sheet.name, table) + 0.3 * min(2, people) + 0.2 * (not prose)
    role = "item" if table == "items" else "user"
    score += 0.3 * max((named(c.name, role) for c in columns if c.unique), default=0.0)
    score += 1.0 * (ATOMIC.get(ending(sheet.paths[0])) == table)
    return min(1.0, score) * (1.0 if keyed else 0.5)
