"""Which column of a source is which field: told by a mapping, else guessed from well-known names."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher

from polyscene.core.errors import DataError, UnclearError, nearest
from polyscene.dataset.schema import SCHEMA, Field, TableName, field_names, fold

FILE_ORDER = ("time", "position")
"""``--map time=position`` on a table without such a column: the order of the file is the order."""


@dataclass(frozen=True, slots=True)
class Columns:
    """The answer for one table: field -> column, attribute -> column, and what was guessed."""

    fields: Mapping[str, str]
    attributes: Mapping[str, str]
    notes: tuple[str, ...] = ()


def check_mapping(mapping: Mapping[str, str], columns: Mapping[TableName, Collection[str]]) -> None:
    """Every key must name a table or a field, every value a column that some table has.

    A key is a field (``item``), a field of one table (``items.item``), an attribute of one table
    (``items.title``) or a table (``events``, whose value names a file). An empty value means: has none.

    Raises:
        DataError: It does not; the message names the nearest key or column.
    """
    known = {*SCHEMA, *(name for table in SCHEMA for name in field_names(table))}
    everywhere = sorted({column for names in columns.values() for column in names})
    for key, column in mapping.items():
        table, dot, field = key.rpartition(".")
        if dot and table not in SCHEMA:
            raise DataError(f"--map {key}={column}: unknown table {table!r}{nearest(table, SCHEMA)}")
        if dot and table not in columns:
            raise DataError(f"--map {key}={column}: the source has no table of {table}")
        if not dot and key not in known:
            raise DataError(
                f"--map {key}={column}: unknown field {key!r}{nearest(key, known)} "
                f"(attributes are written with their table: items.{key}={column})"
            )
        here = (
            [name for at, names in columns.items() if at == table for name in names] if dot else everywhere
        )
        if column and key not in SCHEMA and column not in here and (field, column) != FILE_ORDER:
            raise DataError(
                f"--map {key}={column}: no table has the column {column!r}{nearest(column, here)}"
            )


def resolve(table: TableName, label: str, columns: Collection[str], mapping: Mapping[str, str]) -> Columns:
    """The fields of one table among its `columns`; `label` names the source in errors.

    Raises:
        DataError: A required field has no column, or several could be a field.
    """
    told = _told(table, columns, mapping)
    fields: dict[str, str] = {}
    notes: list[str] = []
    for field in SCHEMA[table]:
        if field.name in told:
            if told[field.name]:
                fields[field.name] = told[field.name]
            continue
        taken = {*fields.values(), *told.values()}
        guess = _guess(field, label, [name for name in columns if name not in taken])
        if guess:
            fields[field.name] = guess
            if guess != field.name:
                notes.append(f"{table}: column {guess!r} is taken as {field.name}")
        elif field.required:
            raise _missing(field, table, label, columns)
    attributes = {name: column for name, column in told.items() if name not in field_names(table)}
    used = {*fields.values(), *attributes.values()}
    rest = {name: name for name in columns if name not in used and name not in attributes}
    hidden = [name for name in columns if name in attributes and name not in used]
    notes += [f"{table}: column {name!r} is not used: another one takes its name" for name in hidden]
    return Columns(fields, {**attributes, **rest}, tuple(notes))


def clashes(table: TableName, columns: Collection[str], told: Mapping[str, str]) -> list[str]:
    """Optional fields that `told` leaves out but a guess from well-known names would fill, or trip over."""
    found = []
    for field in SCHEMA[table]:
        if field.name in told:
            continue
        rest = [name for name in columns if name not in told.values()]
        try:
            guess = _guess(field, table, rest)
        except DataError:
            guess = field.name
        if guess:
            found.append(field.name)
    return found


def _told(table: TableName, columns: Collection[str], mapping: Mapping[str, str]) -> dict[str, str]:
    told: dict[str, str] = {}
    for key, column in mapping.items():
        place, dot, field = key.rpartition(".")
        plain = not dot and field in field_names(table)
        if not (plain or place == table):
            continue
        if column in columns or not column:
            told[field] = column
        elif (field, column) == FILE_ORDER:
            told[field] = ""
    return told


def _guess(field: Field, label: str, columns: list[str]) -> str | None:
    if field.name in columns:
        return field.name
    for tier in field.aliases:
        found = [name for name in columns if fold(name) in tier]
        if len(found) > 1:
            raise UnclearError(
                f"{label}: {len(found)} columns could be the {field.name}: {', '.join(found)}. "
                f"Choose one: --map {field.name}={found[0]}"
            )
        if found:
            return found[0]
    return None


def _missing(field: Field, table: TableName, label: str, columns: Collection[str]) -> UnclearError:
    words = [field.name, *(alias for tier in field.aliases for alias in tier)]
    likeness = {
        name: (field.name in fold(name), max(SequenceMatcher(None, fold(name), w).ratio() for w in words))
        for name in columns
    }
    closest = max(likeness, key=lambda name: likeness[name], default="COLUMN")
    return UnclearError(
        f"{label}: no column for the {field.name} of the {table}; found {', '.join(columns) or 'none'}. "
        f"Write which it is, for instance: --map {field.name}={closest}"
    )
