"""Receipts of what is not an event, and of bodies that come line by line."""

import msgspec

from polyscene.events.log import Receipt


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """What is on disk now. `duplicates` said nothing new; `position` is that of the log.

    `repeated`: the Idempotency-Key was known, and the figures are those of the first time.
    """

    accepted: int
    duplicates: int
    position: int
    repeated: bool = False


def kept(receipt: Receipt) -> Kept:
    """What a receipt says."""
    return Kept(
        accepted=receipt.accepted,
        duplicates=receipt.duplicates,
        position=receipt.position,
        repeated=receipt.repeated,
    )


class BadLine(msgspec.Struct, frozen=True, kw_only=True):
    """A line that was not kept, and why. `line` counts from 1."""

    line: int
    detail: str


class KeptLines(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a body of lines.

    Every line up to `on_disk_to`, the last one, is on disk if it was not `refused`. `errors`, `conflicts`
    and `notes` name the first hundred each. `ids_made`: events without an id, which got one here.
    `duplicates` were there before; `repeated` is how many lines came in batches that the Idempotency-Key
    knows: their figures are those of the first time.
    """

    on_disk_to: int
    accepted: int
    duplicates: int
    refused: int
    position: int
    ids_made: int = 0
    repeated: int = 0
    errors: list[BadLine] = []
    conflicts: list[str] = []
    notes: list[str] = []
