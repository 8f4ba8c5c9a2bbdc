"""What the writer thread does inside a transaction to forget a user."""

import sqlite3

from polyscene.events.event import Erasure
from polyscene.events.log import Erased
from polyscene.events.names import CodeBook, Family
from polyscene.events.rows import USER_PUT, count_shown, exposure_of, put_row
from polyscene.events.writing import INSERT_PUT

_GUESTS = """
WITH RECURSIVE members (code) AS (
    SELECT ? UNION SELECT merges.source FROM merges JOIN members ON merges.target = members.code
)
SELECT code, name FROM members JOIN names USING (code) WHERE family = 0 AND name IS NOT NULL ORDER BY code
"""


def erase_user(
    connection: sqlite3.Connection, book: CodeBook, user: str, at: int
) -> tuple[list[int], Erased]:
    """Deletes the rows of a user and of its guests; gives the codes they had and what was deleted."""
    book.write(connection)
    code = book.known(Family.USER, user)
    guests = [row for row in connection.execute(_GUESTS, (code,)) if row[0] != code]
    names = [user, *(name for _, name in guests)]
    exposures = sum(_erase_exposures(connection, name) for name in names)
    edges = sum(_erase_edges(connection, name) for name in names)
    connection.execute("DELETE FROM once WHERE conflicts IS NOT NULL")
    if code < 0 and not edges:
        return [], Erased(0, 0, exposures, book.position)
    codes = [book.code(Family.USER, name) for name in names]
    events = puts = 0
    for each in codes:
        events += connection.execute("DELETE FROM events WHERE user = ?", (each,)).rowcount
        puts += connection.execute(
            "DELETE FROM puts WHERE type = ? AND code = ?", (USER_PUT, each)
        ).rowcount
        puts += _erase_merges(connection, each)
    for name in names:
        erased = Erasure(user_code=book.forget(connection, name), time=at)
        connection.execute(INSERT_PUT, put_row(erased, book))
    return codes, Erased(events, puts + edges, exposures, book.position)


def _erase_exposures(connection: sqlite3.Connection, user: str) -> int:
    payloads = connection.execute("SELECT payload FROM exposures WHERE user = ?", (user,)).fetchall()
    count_shown(connection, [exposure_of(payload) for (payload,) in payloads], -1)
    connection.execute("DELETE FROM shown WHERE count = 0")
    return connection.execute("DELETE FROM exposures WHERE user = ?", (user,)).rowcount


def _erase_edges(connection: sqlite3.Connection, end: str) -> int:
    which = "FROM edges WHERE source = ? OR target = ?"
    connection.execute(f"DELETE FROM puts WHERE position IN (SELECT position {which})", (end, end))  # noqa: S608
    return connection.execute(f"DELETE {which}", (end, end)).rowcount


def _erase_merges(connection: sqlite3.Connection, code: int) -> int:
    which = "FROM merges WHERE source = ? OR target = ?"
    connection.execute(f"DELETE FROM puts WHERE position IN (SELECT position {which})", (code, code))  # noqa: S608
    return connection.execute(f"DELETE {which}", (code, code)).rowcount
