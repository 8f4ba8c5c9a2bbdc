"""From a source of any size to a prepared folder, in bounded memory."""

import shutil
from collections.abc import Mapping
from pathlib import Path

import msgspec
import numpy as np
import polars as pl

from polyscene.artifacts.files import TEMPORARY, new_folder, refused, sync_folder, write_synced
from polyscene.core.arrays import Bools, RaggedTable, Times
from polyscene.core.clock import DAY_MS
from polyscene.core.config import to_json
from polyscene.core.contracts import Progress, silent
from polyscene.core.errors import ConfigError, DataError, InputError
from polyscene.dataset.clean import CleaningRules
from polyscene.dataset.codemap import CodeMap
from polyscene.dataset.live import NEVER
from polyscene.dataset.load import DEFAULT_RULES, NO_MAPPING, Bench, raw_tables, unused
from polyscene.dataset.mapping import check_mapping, resolve
from polyscene.dataset.prepare.pieces import weight
from polyscene.dataset.prepare.prepared import (
    FIRST,
    FORMAT,
    HISTORIES,
    MANIFEST,
    Manifest,
    digest_of,
    is_prepared,
)
from polyscene.dataset.prepare.read import EventSource, read
from polyscene.dataset.prepare.sort import Ranks, Sorted, Sorter, rewritten
from polyscene.dataset.prepare.work import IDS, WORDS, Books, Plan, Work
from polyscene.dataset.readers import Raw
from polyscene.dataset.scales import value_notes
from polyscene.dataset.schema import TableName
from polyscene.dataset.sequences import open_sequences, read_header, save_sequences
from polyscene.dataset.tables import TableReport
from polyscene.dataset.typed import EventColumns

MEMORY_MB = 1024
LEAST_MB = 1
PIECE = 16 << 20
"""Most bytes of text that are read at once: more makes nothing quicker."""
SORTED = "sorted"
RANGE_BYTES = 256
"""What a row costs in memory while its range is cleaned and sorted."""


class PrepareRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What to prepare, and where.

    `folder` is made, or replaced as a whole if it was prepared before. `memory_mb`: what reading and
    sorting may take; ids must fit besides, at about 150 bytes each. While it works the disk holds 80 bytes
    per event more than the result. The rest is as for `load_tables` and `encode`.
    """

    source: str
    folder: Path
    mapping: Mapping[str, str] = NO_MAPPING
    rules: CleaningRules = DEFAULT_RULES
    only_touched: bool = False
    memory_mb: int = MEMORY_MB
    cache: Path | None = None


def prepare(request: PrepareRequest, progress: Progress = silent) -> Manifest:
    """Makes a prepared folder, which `open_prepared` opens without reading it.

    It holds what ``encode(load_tables(...))`` gives. The folder is whole or not there; a preparation that
    was killed goes on where it was when the same is asked again.

    Raises:
        InputError: The folder holds something else.
        DataError: The source can't be used; it says what to do.
        StoreError: The disk is full, or another process prepares the same folder.
    """
    _check(request)
    name, raws, notes = raw_tables(request.source, request.mapping, request.cache)
    check_mapping(request.mapping, {table: raw.columns for table, raw in raws.items()})
    with refused(request.folder, "the folder can't be written"):
        request.folder.parent.mkdir(parents=True, exist_ok=True)
    work = Work(request.folder.parent / f"{TEMPORARY}{request.folder.name}", _key(request, raws))
    try:
        manifest = _Preparation(request, name, raws, notes, work).run(progress)
    finally:
        work.close()
    shutil.rmtree(work.folder, ignore_errors=True)
    return manifest


def _check(request: PrepareRequest) -> None:
    if request.memory_mb < LEAST_MB:
        raise ConfigError(f"prepare: memory_mb is {request.memory_mb}; give at least {LEAST_MB}")
    if request.rules.min_item > 1:
        raise ConfigError("prepare: the rule min_item needs all events in memory; leave it at 1")
    folder = request.folder
    if folder.exists() and not (is_prepared(folder) or (folder.is_dir() and not any(folder.iterdir()))):
        raise InputError(f"{folder}: is there and holds no prepared data; choose another folder")


def _key(request: PrepareRequest, raws: Mapping[TableName, Raw]) -> str:
    """Tells whether a work folder is about the same source and question."""
    files = [
        (part.label, Path(part.label).stat().st_size, Path(part.label).stat().st_mtime_ns)
        for raw in raws.values()
        for part in raw.parts or (raw,)
    ]
    asked = [sorted(request.mapping.items()), to_json(request.rules)]
    return digest_of(FORMAT, files, asked)


class _Preparation:
    """One run: the small tables first, then events in two passes, then all into place."""

    def __init__(
        self,
        request: PrepareRequest,
        name: str,
        raws: Mapping[TableName, Raw],
        notes: tuple[str, ...],
        work: Work,
    ) -> None:
        self._request, self._name, self._work = request, name, work
        self._raw, self._found = raws["events"], notes
        self._bench = Bench(request.mapping, request.rules)
        self._tables = {
            "items": self._bench.entities(raws.get("items"), "items", "item"),
            "users": self._bench.entities(raws.get("users"), "users", "user"),
            "edges": self._bench.edges(raws.get("edges"), raws.get("links")),
        }
        self._columns = resolve("events", self._raw.label, self._raw.columns, request.mapping)

    def run(self, progress: Progress) -> Manifest:
        work, request, items = self._work, self._request, self._tables["items"]
        size = min(PIECE, request.memory_mb * 2**20 // 64)
        rules = request.rules
        if rules.latest is None:
            rules = msgspec.structs.replace(rules, latest=work.begun + DAY_MS)
        known = None if items is None else items["item"]
        columns = EventColumns(self._raw.label, self._columns.fields)
        source = EventSource(self._raw, columns, rules, known, size)
        with progress("read", weight(self._raw, size)) as bar:
            plan = read(source, work, bar)
        ranks = {name: Ranks.among(pl.concat(work.ids(name)), np.int32) for name in IDS}
        ranks |= {
            name: Ranks.among(pl.Series(work.words(name), dtype=pl.String), np.int16) for name in WORDS
        }
        found = Sorted()
        if work.counts.any():
            rows = request.memory_mb * 2**20 // 4 // RANGE_BYTES
            sorter = Sorter(work, rules, plan.form.clock, ranks, rows)
            with progress("sort", len(work.units) + len(sorter.ranges()) - 1) as bar:
                found = sorter.sort(work.folder / SORTED, bar)
        if not found.rows:
            removed = self._report(found).removed
            causes = ", ".join(f"{cause}: {count}" for cause, count in removed.items())
            raise DataError(f"{self._raw.label}: cleaning left no event ({causes}). Check --map and rules")
        folder = request.folder
        with refused(folder, "the folder can't be written"), new_folder(folder.parent) as beside:
            manifest = self._assemble(beside, found, ranks, plan)
            swap(beside, folder)
        return manifest

    def _report(self, found: Sorted) -> TableReport:
        units = self._work.units
        broken, rows = sum(unit.broken for unit in units), sum(unit.rows for unit in units)
        books = sum((unit.books for unit in units), Books()) + found.books
        removed = books.removed | ({"line can't be read": broken} if broken else {})
        return TableReport(
            self._raw.label, rows + broken, found.rows, removed, books.changed, books.noticed
        )

    def _notes(self, plan: Plan) -> tuple[str, ...]:
        columns = EventColumns(self._raw.label, self._columns.fields)
        return (
            *self._found,
            *self._bench.report(None, ()).notes,
            *(f"events: {note}" for note in self._raw.notes),
            *self._columns.notes,
            *columns.notes(plan.form),
            *value_notes(plan.values, self._request.rules.scale),
            *unused(self._columns),
        )

    def _assemble(self, beside: Path, found: Sorted, ranks: Mapping[str, Ranks], plan: Plan) -> Manifest:
        """Puts everything into an empty folder, the manifest last."""
        kept = put_histories(self._work.folder / SORTED, beside, found)
        users = CodeMap(ranks["user"].names.gather(np.concatenate(found.users)).to_list())
        items = CodeMap(ranks["item"].names.filter(pl.Series(kept["item"])).to_list())
        table = self._tables["items"]
        if table is not None and not self._request.only_touched:
            items.codes(table["item"].unique().sort(), grow=True)
        put_items(beside, found.first[kept["item"]], users, items)
        for name, frame in self._tables.items():
            if frame is not None:
                frame.write_parquet(beside / f"{name}.parquet")
        words = {name: tuple(ranks[name].names.filter(pl.Series(kept[name])).to_list()) for name in WORDS}
        header = read_header(beside / HISTORIES)
        at, clock = found.last + 1, plan.form.clock
        sums = (header.offsets, header.columns, users.digest(), items.digest())
        manifest = Manifest(
            format=FORMAT,
            name=self._name,
            digest=digest_of(sums, words, at, clock),
            events=found.rows,
            users=len(users),
            items=len(items),
            bytes=sum(path.stat().st_size for path in (beside / HISTORIES).glob("*.bin")),
            clock=clock,
            at=at,
            actions=words["action"],
            scenarios=words["scenario"],
            rules=self._request.rules,
            only_touched=self._request.only_touched,
            tables={**self._bench.report(None, ()).tables, "events": self._report(found)},
            notes=self._notes(plan),
        )
        write_synced(beside / MANIFEST, msgspec.json.format(msgspec.json.encode(manifest), indent=2))
        return manifest


def put_histories(source: Path, folder: Path, found: Sorted) -> dict[str, Bools]:
    """Moves sorted histories into place, without codes that nothing is left of; tells which codes stay."""
    kept: dict[str, Bools] = {"item": found.first < NEVER}
    kept |= {name: counts > 0 for name, counts in found.words.items()}
    if all(stays.all() for stays in kept.values()):
        source.replace(folder / HISTORIES)
    else:
        codes = {name: np.cumsum(stays) - 1 for name, stays in kept.items()}
        rewritten(source, folder / HISTORIES, open_sequences(source).lengths, codes)
    return kept


def put_items(folder: Path, first: Times, users: CodeMap, items: CodeMap) -> None:
    """Writes the ids, and when each item was first seen."""
    times = np.full(len(items), NEVER, np.int64)
    times[: len(first)] = first
    save_sequences(folder / FIRST, RaggedTable(np.array([0, len(items)]), {"time": times}))
    users.save(folder / "users.ids")
    items.save(folder / "items.ids")


def swap(beside: Path, folder: Path) -> None:
    """Puts a new folder in the place of an old one, if there is one."""
    with new_folder(folder.parent) as old:
        if folder.exists():
            folder.replace(old / "old")
        beside.replace(folder)
        sync_folder(folder.parent)
