"""What unknown files and columns most likely mean, with reasons: a proposal for a person to judge.

Names speak first (`vocabulary`), then values (`profile`), then what joins what: the column of the events
whose values are the key of a table of titles is the item. Nothing here is specific to a data set.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from polyscene.dataset.infer.roles import Guess, Pick, order_of, pair_of, rest_of
from polyscene.dataset.infer.sheets import (
    LEAST,
    Draft,
    Sheet,
    edge_score,
    entities,
    entity_score,
    read_sheets,
)
from polyscene.dataset.infer.things import find_edges, find_items_and_users
from polyscene.dataset.infer.vocabulary import file_named, named
from polyscene.dataset.mapping import FILE_ORDER, clashes
from polyscene.dataset.parts import FILE
from polyscene.dataset.schema import SCHEMA, TITLES, TableName, fold
from polyscene.dataset.sources import ATOMIC, STEMS, ending, family


@dataclass(frozen=True, slots=True)
class Proposal:
    """What the files and columns of a source are taken for.

    `tables`: table -> file names. `guesses`: one per field. `mapping`: the same as `load_tables` wants it.
    `missing`: what nothing could be found for; while it holds anything the mapping can't be used.
    `notes`: what is left aside and why.
    """

    source: str
    tables: Mapping[TableName, tuple[str, ...]]
    guesses: tuple[Guess, ...]
    mapping: Mapping[str, str]
    missing: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def propose(source: Path) -> Proposal:
    """The most likely meaning of a file or of all files of a folder.

    Raises:
        DataError: There is no file that can be read at all.
    """
    sheets, notes = read_sheets(source)
    draft = Draft(sheets, notes=notes)
    _find_events(draft)
    if "events" in draft.tables:
        find_items_and_users(draft)
        find_edges(draft)
    for sheet in draft.free():
        draft.notes.append(f"{sheet.label} is not used: it fits no table that is still open")
    tables = {
        table: tuple(p.name for s in chosen for p in s.paths) for table, chosen in draft.tables.items()
    }
    return Proposal(
        source=str(source),
        tables=tables,
        guesses=tuple(draft.guesses),
        mapping=_mapping(source, draft),
        missing=tuple(draft.missing),
        notes=tuple(draft.notes),
    )


def _find_events(draft: Draft) -> None:
    ranked: list[tuple[float, Sheet, Pick]] = []
    most = max(sheet.rows for sheet in draft.sheets) or 1
    for sheet in draft.sheets:
        pick = pair_of(sheet.columns, entities(each for each in draft.sheets if each is not sheet))
        if pick is None:
            continue
        score = (
            pick.score
            - len(pick.missing)
            + 0.5 * file_named(sheet.name, "events")
            + 0.2 * sheet.rows / most
        )
        score += 0.3 * any(column.clock for column in sheet.columns.values())
        score += 1.0 * (ATOMIC.get(ending(sheet.paths[0])) == "events")
        score -= 0.8 * max(entity_score(sheet, "items"), entity_score(sheet, "users"))
        score -= 0.8 * edge_score(sheet)
        ranked.append((score, sheet, pick))
    if not ranked:
        draft.missing.append("events: no file has both a column of users and one of items")
        return
    score, sheet, pick = max(ranked, key=lambda each: each[0])
    if score < LEAST:
        draft.missing.append("events: no file looks like what users did with items")
        return
    draft.tables["events"] = (sheet,)
    draft.guesses += pick.guesses
    draft.missing += pick.missing
    taken = {guess.column for guess in pick.guesses}
    extra = [*order_of(sheet.columns, taken), *rest_of(sheet.columns, taken)]
    draft.guesses += extra
    taken |= {guess.column for guess in extra}
    _find_more_events(draft, taken)
    left = [name for name in sheet.columns if name not in {guess.column for guess in draft.guesses}]
    if left:
        draft.notes.append(f"columns of events not used: {', '.join(left)}")


def _find_more_events(draft: Draft, taken: set[str]) -> None:
    """Files beside the events with the same users and items and nothing to explain: one action each."""
    (main,) = draft.tables["events"]
    pair = {guess.column for guess in draft.guesses if guess.field in ("user", "item")}
    more = []
    for sheet in draft.free():
        if not _same_kinds(pair, sheet, main) or edge_score(sheet) >= LEAST:
            continue
        own = set(sheet.columns) - taken
        extra = rest_of({name: sheet.columns[name] for name in own}, set())
        shared = min(sheet.columns[name].within(main.columns[name]) for name in pair)
        if own - {guess.column for guess in extra} or shared < 0.5 or (own and "value" in _fields(draft)):
            continue
        more.append(sheet)
        draft.guesses += [guess for guess in extra if guess.field not in _fields(draft)]
    if more:
        draft.tables["events"] = (main, *more)
        if "action" not in _fields(draft):
            why = f"{1 + len(more)} files with the same users and items: the name of each is its action"
            draft.guesses.append(Guess("events", "action", FILE, 0.7, (why,)))


def _same_kinds(pair: set[str], sheet: Sheet, main: Sheet) -> bool:
    """Whether a sheet has the pair under names that say something, and equal names hold equal kinds."""
    if len(pair) < 2 or not pair <= sheet.columns.keys():
        return False
    told = any(named(name, role) for name in pair for role in ("user", "item"))
    both = sheet.columns.keys() & main.columns.keys()
    return told and all((sheet.columns[n].kind == "text") == (main.columns[n].kind == "text") for n in both)


def _fields(draft: Draft) -> set[str]:
    return {guess.field for guess in draft.guesses if guess.table == "events"}


def _mapping(source: Path, draft: Draft) -> dict[str, str]:
    """The proposal as a mapping; where the loader would guess otherwise, it is told to take nothing."""
    mapping: dict[str, str] = {}
    several = source.is_dir()
    for table, chosen in draft.tables.items():
        if several:
            mapping[table] = ",".join(path.name for sheet in chosen for path in sheet.paths)
        told = {guess.field: guess.column for guess in draft.guesses if guess.table == table}
        for name, column in told.items():
            if column != name and not (table == "items" and name == "title" and fold(column) in TITLES[:1]):
                mapping[f"{table}.{name}"] = column
        columns = [name for sheet in chosen for name in sheet.columns]
        for name in clashes(table, columns, told):
            mapping[f"{table}.{name}"] = FILE_ORDER[1] if (table, name) == ("events", "time") else ""
    if several and draft.tables:
        mapping |= {
            table: "" for table in SCHEMA if table not in draft.tables and _would_take(draft, table)
        }
    return mapping


def _would_take(draft: Draft, table: TableName) -> bool:
    stems = {name for tier in STEMS[table] for name in tier}
    own = [path for sheet in draft.sheets for path in sheet.paths]
    return any(family(path) in stems or ATOMIC.get(ending(path)) == table for path in own)
