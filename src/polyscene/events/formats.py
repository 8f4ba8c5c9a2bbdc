"""The layouts an event log file has had, and the way from each to the next and back.

A new file goes through all steps too, so a file that was upgraded and a new one have the same tables.
"""

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from polyscene.core.errors import StoreError
from polyscene.events.rows import EDGE_PUT, EVENT_COLUMNS, MERGE, count_shown, exposure_of
from polyscene.events.whole import summed

FORMAT = 2
"""Number of the present layout, kept in the file as ``user_version``."""


@dataclass(frozen=True, slots=True)
class Step:
    """From one format to the next.

    `up` and `down` are SQL; `fill` then derives what the new tables hold. `only` selects, one row each,
    (what, how many) for records that the older format can't hold: with any of them there is no way down.
    """

    up: str
    down: str
    only: str
    fill: Callable[[sqlite3.Connection], None]


def _nothing(connection: sqlite3.Connection) -> None:
    """The new tables start empty."""


def _fill_second(connection: sqlite3.Connection) -> None:
    connection.create_function("crc_of", -1, lambda *row: summed(row)[-1], deterministic=True)
    connection.execute(f"UPDATE events SET crc = crc_of({EVENT_COLUMNS})")  # noqa: S608 (a constant)
    payloads = connection.execute("SELECT payload FROM exposures")
    while batch := payloads.fetchmany(1_000):
        count_shown(connection, [exposure_of(payload) for (payload,) in batch], +1)


_FIRST = """
CREATE TABLE names (
    family INTEGER NOT NULL, code INTEGER NOT NULL, name TEXT, PRIMARY KEY (family, code)
) WITHOUT ROWID;
CREATE UNIQUE INDEX names_by_name ON names (family, name);
CREATE TABLE events (
    position INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE,
    user INTEGER NOT NULL, item INTEGER NOT NULL, action INTEGER NOT NULL, scenario INTEGER NOT NULL,
    time INTEGER NOT NULL, value REAL NOT NULL, extra BLOB
);
CREATE INDEX events_by_user ON events (user, time);
CREATE TABLE puts (
    position INTEGER PRIMARY KEY, type INTEGER NOT NULL, code INTEGER NOT NULL,
    key BLOB NOT NULL UNIQUE, payload BLOB NOT NULL
);
CREATE INDEX puts_by_code ON puts (type, code);
CREATE TABLE exposures (
    request_id TEXT PRIMARY KEY, user TEXT, time INTEGER NOT NULL, payload BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX exposures_by_user ON exposures (user, time);
CREATE INDEX exposures_by_time ON exposures (time);
"""
_SECOND = """
ALTER TABLE events ADD COLUMN crc INTEGER;
CREATE INDEX events_by_item ON events (item, time, action);
CREATE TABLE edges (
    source TEXT NOT NULL, relation TEXT NOT NULL, target TEXT NOT NULL, position INTEGER NOT NULL,
    gone INTEGER NOT NULL, PRIMARY KEY (source, relation, target, position)
) WITHOUT ROWID;
CREATE INDEX edges_by_target ON edges (target);
CREATE TABLE merges (position INTEGER PRIMARY KEY, source INTEGER NOT NULL, target INTEGER NOT NULL);
CREATE INDEX merges_by_target ON merges (target);
CREATE INDEX merges_by_source ON merges (source);
CREATE TABLE shown (
    item TEXT NOT NULL, day INTEGER NOT NULL, count INTEGER NOT NULL, PRIMARY KEY (item, day)
) WITHOUT ROWID;
CREATE TABLE once (
    id INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, digest BLOB NOT NULL, time INTEGER NOT NULL,
    accepted INTEGER NOT NULL, duplicates INTEGER NOT NULL, position INTEGER NOT NULL, conflicts TEXT
);
"""
_SECOND_BACK = """
DROP INDEX events_by_item;
ALTER TABLE events DROP COLUMN crc;
DROP TABLE edges;
DROP TABLE merges;
DROP TABLE shown;
DROP TABLE once;
"""
_SECOND_ONLY = f"""
SELECT 'edge puts', count(*) FROM puts WHERE type = {EDGE_PUT}
UNION ALL SELECT 'merges', count(*) FROM puts WHERE type = {MERGE}
"""  # noqa: S608 (constants)

STEPS = {
    0: Step(_FIRST, "", "", _nothing),
    1: Step(_SECOND, _SECOND_BACK, _SECOND_ONLY, _fill_second),
}
"""By the format that each starts from; 0 is an empty file."""


def upgrade(connection: sqlite3.Connection, start: int) -> None:
    """Takes a file of format `start` to the present one; inside the caller's transaction."""
    for number in range(start, FORMAT):
        _run(connection, STEPS[number].up)
        STEPS[number].fill(connection)
    connection.execute(f"PRAGMA user_version = {FORMAT}")


def check_way_back(connection: sqlite3.Connection, path: Path, to: int) -> None:
    """Nothing, if a file of the present format can go back to format `to`.

    Raises:
        StoreError: There are records that the older format can't hold; the text counts them.
    """
    for number in reversed(range(to, FORMAT)):
        found = [f"{count:,} {what}" for what, count in connection.execute(STEPS[number].only) if count]
        if found:
            raise StoreError(
                f"{path}: format {number} can't hold {' and '.join(found)} that are in the log; "
                "stay at this format, or put back a copy from before it"
            )


def downgrade(connection: sqlite3.Connection, to: int) -> None:
    """Takes a file of the present format back to format `to`; inside the caller's transaction."""
    for number in reversed(range(to, FORMAT)):
        _run(connection, STEPS[number].down)
    connection.execute(f"PRAGMA user_version = {to}")


def _run(connection: sqlite3.Connection, script: str) -> None:
    # executescript would commit the transaction
    for statement in script.split(";"):
        connection.execute(statement)
