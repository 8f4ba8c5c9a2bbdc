"""From any source to clean tables: find the files, map the columns, type the values, clean, report."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import polars as pl

from polyscene.core.errors import DataError
from polyscene.dataset.clean import (
    CleaningRules,
    clean_edges,
    clean_entities,
    clean_events,
    clean_links,
    entities_as_items,
)
from polyscene.dataset.frames import Frame, raw_frame
from polyscene.dataset.known import SETS, ensure
from polyscene.dataset.ledger import Ledger
from polyscene.dataset.mapping import Columns, check_mapping, resolve
from polyscene.dataset.mend import Mend, mend_column
from polyscene.dataset.parts import FILE, collect_all, scan_all
from polyscene.dataset.quarantine import write_quarantine
from polyscene.dataset.readers import ROW, Raw
from polyscene.dataset.schema import HEADS, TITLES, TableName, field_names, fold
from polyscene.dataset.sources import find_files
from polyscene.dataset.tables import CleaningReport, Tables
from polyscene.dataset.times import read_times
from polyscene.dataset.typed import EventColumns
from polyscene.dataset.values import read_attribute, read_ids, read_numbers, read_words

NO_MAPPING: Mapping[str, str] = MappingProxyType({})
DEFAULT_RULES = CleaningRules()


def load_tables(
    source: str | Path,
    *,
    mapping: Mapping[str, str] = NO_MAPPING,
    rules: CleaningRules = DEFAULT_RULES,
    quarantine: Path | None = None,
    cache: Path | None = None,
) -> Tables:
    """Clean tables from a known data set's name, a folder, or one file of events.

    `mapping`: field -> column, for names that are not well known (see `mapping.check_mapping`).
    `quarantine`: file for the removed rows. `cache`: folder of fetched data sets; None is
    ``$POLYSCENE_CACHE`` or ``~/.cache/polyscene``.

    Raises:
        DataError: Nothing there, or a file, column or value that can't be used; it says what to do.
    """
    name, raws, notes = raw_tables(source, mapping, cache)
    return clean_tables(name, raws, mapping=mapping, rules=rules, quarantine=quarantine, notes=notes)


def raw_tables(
    source: str | Path, mapping: Mapping[str, str], cache: Path | None
) -> tuple[str, dict[TableName, Raw], tuple[str, ...]]:
    """The name of a source, its raw tables and notes on its files. Raises as `load_tables` does."""
    known = str(source) in SETS
    place = ensure(str(source), cache) if known else Path(source)
    if not known and not place.exists():
        raise DataError(
            f"{source}: no such file or folder, nor a known data set ({', '.join(SETS)}). Give a folder "
            "with a file named events, interactions or ratings, or one file"
        )
    found = find_files(place, mapping)
    raws = {table: scan_all(paths) for table, paths in found.files.items()}
    return str(source) if known else _name(place), raws, found.notes


def _name(place: Path) -> str:
    return place.resolve().name if place.is_dir() else place.name.partition(".")[0]


def tables_from_frames(
    events: Frame,
    items: Frame | None = None,
    users: Frame | None = None,
    *,
    mapping: Mapping[str, str] = NO_MAPPING,
    rules: CleaningRules = DEFAULT_RULES,
) -> Tables:
    """Clean tables from pandas or Polars frames, exactly as from files. Raises as `load_tables` does."""
    given: dict[TableName, Frame | None] = {"events": events, "items": items, "users": users}
    raws = {
        table: raw_frame(f"{table} frame", frame) for table, frame in given.items() if frame is not None
    }
    return clean_tables("frames", raws, mapping=mapping, rules=rules)


def clean_tables(
    name: str,
    raws: Mapping[TableName, Raw],
    *,
    mapping: Mapping[str, str] = NO_MAPPING,
    rules: CleaningRules = DEFAULT_RULES,
    quarantine: Path | None = None,
    notes: tuple[str, ...] = (),
) -> Tables:
    """Clean tables from raw ones; `notes` head those of the report. Raises as `load_tables` does."""
    check_mapping(mapping, {table: raw.columns for table, raw in raws.items()})
    bench = Bench(mapping, rules)
    items = bench.entities(raws.get("items"), "items", "item")
    users = bench.entities(raws.get("users"), "users", "user")
    edges = bench.edges(raws.get("edges"), raws.get("links"))
    events, clock = bench.events(raws["events"], rules, None if items is None else items["item"])
    if quarantine:
        write_quarantine(quarantine, bench.books)
    report = bench.report(quarantine, notes)
    if not len(events):
        removed = report.tables["events"].removed
        causes = ", ".join(f"{cause}: {count}" for cause, count in removed.items())
        raise DataError(f"{raws['events'].label}: cleaning left no event ({causes}). Check --map and rules")
    return Tables(name, events, items, users, edges, clock, report)


class Bench:
    """Where tables are typed and cleaned, one after another, and the books kept."""

    def __init__(self, mapping: Mapping[str, str], rules: CleaningRules) -> None:
        self.mapping = mapping
        self.mends: Mapping[str, Sequence[Mend]] = {"item": rules.mend_items, "user": rules.mend_users}
        self.books: dict[str, tuple[Raw, Ledger]] = {}
        self.rows_out: dict[str, int] = {}

    def _open(self, table: TableName, raw: Raw) -> tuple[pl.DataFrame, Columns, Ledger]:
        columns = resolve(table, raw.label, raw.columns, self.mapping)
        used = [*columns.fields.values()]
        if table in ("items", "users"):
            used += columns.attributes.values()
        frame, raw = collect_all(raw, list(dict.fromkeys(used)))
        ledger = Ledger(raw.label, len(frame))
        ledger.notes += [f"{table}: {note}" for note in raw.notes] + list(columns.notes)
        self.books[table] = (raw, ledger)
        return frame, columns, ledger

    def _close(self, table: TableName, frame: pl.DataFrame) -> pl.DataFrame:
        self.rows_out[table] = len(frame)
        words = [name for name, kind in frame.schema.items() if kind == pl.Categorical]
        return frame.with_columns(pl.col(words).cast(pl.String))

    def report(self, quarantine: Path | None, found: tuple[str, ...]) -> CleaningReport:
        """The books of all tables, closed."""
        reports = {
            table: ledger.report(self.rows_out[table], len(raw.broken))
            for table, (raw, ledger) in self.books.items()
        }
        notes = tuple(note for _, ledger in self.books.values() for note in ledger.notes)
        return CleaningReport(reports, (*found, *notes), quarantine)

    def events(self, raw: Raw, rules: CleaningRules, items: pl.Series | None) -> tuple[pl.DataFrame, bool]:
        """Clean events, and whether they have a clock; `items`: ids of the items table."""
        frame, columns, ledger = self._open("events", raw)
        if not len(frame):
            raise DataError(f"{raw.label}: the events table has no rows. Export it again")
        source = EventColumns(raw.label, columns.fields)
        facts = source.survey(frame)
        form = source.form(facts)
        source.book(facts, form, ledger)
        ledger.notes += source.notes(form)
        typed = source.typed(frame, form, ledger)
        rated = columns.fields.get("value", "")
        cleaned = clean_events(typed, rules, ledger, clock=form.clock, rated=rated, items=items)
        ledger.notes += unused(columns)
        final = cleaned.select(
            *field_names("events"), pl.col(ROW).cast(pl.Int64).alias("row")
        ).with_columns(pl.col("value").cast(pl.Float32))
        return self._close("events", final), form.clock

    def entities(self, raw: Raw | None, table: TableName, key: str) -> pl.DataFrame | None:
        """Clean items or users with their attributes; None without such a table."""
        if raw is None:
            return None
        frame, columns, ledger = self._open(table, raw)
        typed = [frame[ROW], _ids(frame, columns, key, raw.label, ledger)]
        if table == "items":
            typed.append(_words(frame, columns, "kind", "item", ledger))
        if "time" in columns.fields:
            column = columns.fields["time"]
            times = read_times(frame[column], _where(raw.label, column))
            if times.clock:
                typed.append(times.ms.alias("time"))
            else:
                ledger.notes.append(f"{table}: column {column!r} holds positions, no times: not used")
        for name, column in _attributes(columns, table, ledger).items():
            values = read_attribute(frame[column].alias(name), raw.kinds.get(column, ""), ledger)
            if values is None:
                ledger.notes.append(f"{table}: column {column!r} holds {frame[column].dtype}: not used")
            else:
                typed.append(values)
        mended = mend_column(pl.DataFrame(typed), key, self.mends[key], ledger)
        return self._close(table, clean_entities(mended, key, ledger).drop(ROW))

    def edges(self, raw: Raw | None, links: Raw | None = None) -> pl.DataFrame | None:
        """Clean edges; None without such a table. `links` tell which entities of triples are items."""
        if raw is None:
            return None
        frame, columns, ledger = self._open("edges", raw)
        typed = pl.DataFrame(
            {
                ROW: frame[ROW],
                "source": _ids(frame, columns, "source", raw.label, ledger),
                "relation": _words(frame, columns, "relation", "linked", ledger),
                "target": _ids(frame, columns, "target", raw.label, ledger),
                "weight": _numbers(frame, columns, "weight", raw.label),
            }
        )
        final = clean_edges(typed, ledger).drop(ROW).with_columns(pl.col("weight").cast(pl.Float32))
        if links is not None and fold(columns.fields["source"]) in HEADS:
            final = entities_as_items(final, self._links(links))
        return self._close("edges", final)

    def _links(self, raw: Raw) -> pl.DataFrame:
        """Clean links of items to entities."""
        frame, columns, ledger = self._open("links", raw)
        typed = [frame[ROW], *(_ids(frame, columns, key, raw.label, ledger) for key in ("item", "entity"))]
        mended = mend_column(pl.DataFrame(typed), "item", self.mends["item"], ledger)
        return self._close("links", clean_links(mended, ledger).drop(ROW))


def _where(label: str, column: str) -> str:
    return f"{label}, column {column!r}"


def _ids(frame: pl.DataFrame, columns: Columns, field: str, label: str, ledger: Ledger) -> pl.Series:
    column = columns.fields[field]
    return read_ids(frame[column], field, _where(label, column), ledger)


def _words(frame: pl.DataFrame, columns: Columns, field: str, default: str, ledger: Ledger) -> pl.Series:
    if field in columns.fields:
        return read_words(frame[columns.fields[field]], field, default, ledger)
    return pl.Series(field, [default], dtype=pl.Categorical).new_from_index(0, len(frame))


def _numbers(frame: pl.DataFrame, columns: Columns, field: str, label: str) -> pl.Series:
    if field not in columns.fields:
        return pl.Series(field, [1.0], dtype=pl.Float64).new_from_index(0, len(frame))
    column = columns.fields[field]
    return read_numbers(frame[column], field, _where(label, column))


def unused(columns: Columns) -> list[str]:
    """A note on columns of events that are no field, if there are any."""
    names = ", ".join(name for name in columns.attributes if name != FILE)
    return [f"events: columns not used: {names}"] if names else []


def _attributes(columns: Columns, table: TableName, ledger: Ledger) -> dict[str, str]:
    reserved = {*field_names(table), "row"}
    chosen = {name: column for name, column in columns.attributes.items() if name not in reserved}
    for name in columns.attributes.keys() - chosen.keys():
        ledger.notes.append(f"{table}: column {name!r} is not used: its name is that of a field")
    if table == "items" and "title" not in chosen:
        for name in [name for name in chosen if fold(name) in TITLES][:1]:
            ledger.notes.append(f"items: column {name!r} is taken as title")
            chosen = {"title" if known == name else known: column for known, column in chosen.items()}
    return chosen
