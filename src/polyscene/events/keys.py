"""Idempotency keys in the file: looked up and kept in the transaction of the append they stand for."""

import sqlite3
from collections.abc import Sequence
from hashlib import blake2b

import msgspec

from polyscene.core.errors import ConflictError
from polyscene.events.check import other_digest
from polyscene.events.event import Posted
from polyscene.events.log import KEEP_KEYS_MS, Once, Receipt
from polyscene.events.names import CodeBook
from polyscene.events.writing import append

_FIND = "SELECT digest, accepted, duplicates, position, conflicts FROM once WHERE key = ?"
_KEEP = (
    "INSERT INTO once (key, digest, time, accepted, duplicates, position, conflicts) "
    "VALUES (?, ?, ?, ?, ?, ?, ?)"
)
# rows lie in the order of arrival, so the first that is young enough ends the walk
_PRUNE = (
    "DELETE FROM once WHERE id < coalesce((SELECT id FROM once WHERE time > ? ORDER BY id LIMIT 1), id + 1)"
)


def append_once(
    connection: sqlite3.Connection, book: CodeBook, records: Sequence[Posted], once: Once, now: int
) -> Receipt | ConflictError:
    """Appends unless the key is known, and keeps the key; `now` UTC ms.

    The error is given, not raised: it is the caller's, while other work of the transaction is sound.
    """
    connection.execute(_PRUNE, (now - KEEP_KEYS_MS,))
    # only its hash is kept: the text of a key is the client's and may name a user
    key = blake2b(once.key.encode(), digest_size=16).digest()
    row = connection.execute(_FIND, (key,)).fetchone()
    if row is None:
        receipt = append(connection, book, records)
        conflicts = msgspec.json.encode(receipt.conflicts).decode() if receipt.conflicts else None
        connection.execute(
            _KEEP,
            (key, once.digest, now, receipt.accepted, receipt.duplicates, receipt.position, conflicts),
        )
        return receipt
    digest, accepted, duplicates, position, conflicts = row
    if digest != once.digest:
        return other_digest(once)
    told = tuple(msgspec.json.decode(conflicts)) if conflicts else ()
    return Receipt(accepted, duplicates, position, told, repeated=True)
