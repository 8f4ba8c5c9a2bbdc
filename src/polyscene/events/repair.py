"""Saving what can be read of a damaged log file into a new one: positions and codes stay what they were."""

import os
import shutil
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from polyscene.artifacts.files import TEMPORARY
from polyscene.core.errors import StoreError
from polyscene.events import whole
from polyscene.events.event import Erasure, ItemPut, Merge, Put, UserPut
from polyscene.events.formats import FORMAT, upgrade
from polyscene.events.names import Family
from polyscene.events.rows import NO_CODE, Row, count_shown, exposure_of
from polyscene.events.salvage import Names, Salvage, Table
from polyscene.events.seal import put_seal
from polyscene.events.store import APPLICATION, connect, format_of, guard, last_position, lock, transaction
from polyscene.events.wal import wal_path
from polyscene.events.writing import INSERT_EXPOSURE, INSERT_PUT, INTO_EVENTS, relate

_EVENTS = Table(
    "events", "position", whole.SUMMED, ("events_by_user", "events_by_item", "sqlite_autoindex_events_1")
)
_PUTS = Table(
    "puts", "position", "position, type, payload, key, code", ("puts_by_code", "sqlite_autoindex_puts_1")
)
_EXPOSURES = Table(
    "exposures", "request_id", "request_id, user, time, payload", ("exposures_by_user", "exposures_by_time")
)
Puts = Sequence[tuple[Row, Put | Erasure]]


@dataclass(frozen=True, slots=True)
class Repaired:
    """What was saved, and what is known to be lost.

    `lost_rows`: records and exposures that an index names but that are gone or not as they were written.
    Events and puts that need a lost id are among them. `lost_names`: codes whose id is gone. `position`:
    of the last record saved. Idempotency keys are not saved: a resend is known by the ids of its events.
    """

    events: int
    puts: int
    exposures: int
    lost_rows: int
    lost_names: int
    position: int


def repair(path: Path, target: Path) -> Repaired:
    """Saves what can be read of the log `path` into a new file `target`, checked and sealed.

    Raises:
        StoreError: Something is at `target`, somebody writes to `path`, or not even its first page is left.
    """
    if target.exists():
        raise StoreError(f"{target}: there is a file already; give another name")
    with (
        guard(path, "repair"),
        closing(lock(path)),
        _of_full_length(path) as readable,
        closing(connect(readable, readonly=True)) as source,
    ):
        if format_of(source, path) != FORMAT:
            raise StoreError(f"{path}: only format {FORMAT} can be repaired; put back a backup")
        with closing(connect(target, readonly=False)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            with transaction(connection):
                upgrade(connection, 0)
                connection.execute(f"PRAGMA application_id = {APPLICATION}")
                repaired = _save(Salvage(source), connection)
            faults = whole.content(connection)
            if faults:
                raise sqlite3.DatabaseError("; ".join(faults))
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    put_seal(target)
    return repaired


@contextmanager
def _of_full_length(path: Path) -> Iterator[Path]:
    """The file to read: SQLite takes none that lacks pages at its end, so such a one is filled up."""
    with path.open("rb") as file:
        head = file.read(32)
    page = int.from_bytes(head[16:18], "big")
    missing = page * int.from_bytes(head[28:32], "big") - path.stat().st_size
    if missing <= 0:
        yield path
        return
    with TemporaryDirectory(dir=path.parent, prefix=TEMPORARY) as folder:
        filled = Path(folder) / path.name
        for each, copy in ((path, filled), (wal_path(path), wal_path(filled))):
            if each.exists():
                shutil.copyfile(each, copy)
        os.truncate(filled, path.stat().st_size + missing)
        yield filled


def _save(old: Salvage, new: sqlite3.Connection) -> Repaired:
    puts = [(row, put) for row in old.rows(_PUTS, _is_put) if (put := whole.put_in(row))]
    erased = {(int(Family.USER), put.user_code) for _, put in puts if isinstance(put, Erasure)}
    names = old.names()
    _name_by_puts(names, puts, erased)
    rows = [(family, code, name) for (family, code), name in names.items()]
    new.executemany("INSERT INTO names (family, code, name) VALUES (?, ?, ?)", rows)
    saved = _keep_puts(new, puts, {(family, name): code for family, code, name in rows})
    lost_names = {key for key, name in names.items() if name is None} - erased
    events, nameless = _keep_events(old, new, lost_names)
    exposures = _keep_exposures(old, new)
    lost = old.lost + nameless + len(puts) - saved
    return Repaired(events, saved, exposures, lost, len(lost_names), last_position(new))


def _is_put(row: Row) -> bool:
    return whole.put_in(row) is not None


def _name_by_puts(names: Names, puts: Puts, erased: set[tuple[int, int]]) -> None:
    """Gives lost ids back that a put still tells."""
    told = {(family, name) for (family, _), name in names.items()}
    for row, put in puts:
        if isinstance(put, ItemPut | UserPut):
            family = Family.ITEM if isinstance(put, ItemPut) else Family.USER
            key = (int(family), row[4])
            if (family, put.id) not in told and key not in erased and names.get(key, "") is None:
                names[key] = put.id


def _keep_puts(new: sqlite3.Connection, puts: Puts, codes: Mapping[tuple[int, str | None], int]) -> int:
    saved = 0
    for (position, kind, payload, key, _), put in puts:
        needed = _ids(put)
        if all(each in codes for each in needed):
            own = put.user_code if isinstance(put, Erasure) else NO_CODE
            code = codes[needed[0]] if needed else own
            new.execute(INSERT_PUT, (position, kind, code, key, payload))
            relate(new, position, put, lambda user: codes[Family.USER, user])
            saved += 1
    return saved


def _ids(put: Put | Erasure) -> list[tuple[int, str]]:
    """The ids that must have codes for a put to be kept; the first gives the code of its row."""
    match put:
        case ItemPut():
            return [(Family.ITEM, put.id)]
        case UserPut():
            return [(Family.USER, put.id)]
        case Merge():
            return [(Family.USER, put.source), (Family.USER, put.target)]
    return []


def _keep_events(old: Salvage, new: sqlite3.Connection, lost: set[tuple[int, int]]) -> tuple[int, int]:
    """How many events were saved, and how many were not because an id of theirs is lost."""
    saved = nameless = 0
    families = (Family.USER, Family.ITEM, Family.ACTION, Family.SCENARIO)
    for row in old.rows(_EVENTS, whole.is_right):
        if lost.intersection(zip(families, row[2:6], strict=True)):
            nameless += 1
        else:
            new.execute(f"INSERT {INTO_EVENTS}", row)
            saved += 1
    return saved, nameless


def _keep_exposures(old: Salvage, new: sqlite3.Connection) -> int:
    saved = 0
    for row in old.rows(_EXPOSURES, whole.is_exposure):
        new.execute(INSERT_EXPOSURE, row)
        count_shown(new, [exposure_of(row[3])], +1)
        saved += 1
    return saved
