"""Taking a body of lines: each good line is kept, each bad one is named."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import asdict, dataclass, field
from hashlib import blake2b
from typing import Any, Generic, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from polyscene.core.errors import PolysceneError
from polyscene.events.event import Posted
from polyscene.events.log import Once, Receipt
from polyscene.serve.bodies import decode, json_reply, once_of
from polyscene.serve.house import House, house
from polyscene.serve.ndjson import Batch, read_batches
from polyscene.serve.problems import RequestError
from polyscene.serve.wire.kept import BadLine, KeptLines

LISTED = 100
"""How many errors, conflicts and notes a reply names."""
PATIENCE_S = 5.0
"""How long a body that has begun waits for a place at the desk."""
WAIT_S = 0.05
S = TypeVar("S", bound=msgspec.Struct)


@dataclass(frozen=True, slots=True)
class Taking(Generic[S]):
    """How lines of one shape are kept.

    `record` makes a record of a line, given the present (UTC ms), the key of its batch and its place there.
    `keep` is the intake's. `notes` tells what is odd about records and no reason to refuse them.
    """

    shape: type[S]
    record: Callable[[S, int, Once | None, int], Posted]
    keep: Callable[[list[Any], Once | None], Receipt]
    notes: Callable[[Sequence[Any]], list[str]] = lambda records: []


@dataclass(slots=True)
class _Tally:
    """What became of the lines so far; the fields of `KeptLines`."""

    position: int
    on_disk_to: int = 0
    accepted: int = 0
    duplicates: int = 0
    refused: int = 0
    ids_made: int = 0
    repeated: int = 0
    errors: list[BadLine] = field(default_factory=list)
    conflicts: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def refuse(self, bad: Mapping[int, str]) -> None:
        """Counts and lists bad lines by their number."""
        self.refused += len(bad)
        listed = sorted(bad.items())[: LISTED - len(self.errors)]
        self.errors += [BadLine(line=line, detail=detail) for line, detail in listed]

    def add(self, receipt: Receipt, notes: Iterable[str], bodies: Sequence[msgspec.Struct]) -> None:
        """Counts what was kept; an event without a time differs from its resend in that: no conflict."""
        dated = {getattr(body, "id", None) for body in bodies if getattr(body, "time", None) is not None}
        self.ids_made += sum(getattr(body, "id", "") is None for body in bodies)
        self.accepted += receipt.accepted
        self.duplicates += receipt.duplicates
        self.position = receipt.position
        self.repeated += receipt.repeated * (receipt.accepted + receipt.duplicates)
        self.conflicts = [*self.conflicts, *(each for each in receipt.conflicts if each in dated)][:LISTED]
        self.notes = [*self.notes, *notes][:LISTED]


async def take_lines(request: Request, taking: Taking[S]) -> Response:
    """Keeps what a body of lines says, a batch at a time; what was kept stays, whatever comes after.

    Raises:
        RequestError: As `read_batches`; this and all else says up to which line everything is on disk.
        ConflictError: The Idempotency-Key stands for other lines.
        StoreError: The disk refused.
        BusyError: There was no place at the desk.
    """
    here, once = house(request), once_of(request)
    tally = _Tally(here.engine.intake.position)
    try:
        async with aclosing(read_batches(request)) as batches:
            async for batch in batches:
                await _in_turn(here, taking, batch, once, tally)
                tally.on_disk_to = batch.last
    except RequestError as error:
        raise RequestError(error.status, f"{error.detail}{_so_far(tally)}", error.headers) from error
    except PolysceneError as error:
        raise type(error)(f"{error}{_so_far(tally)}") from error
    return json_reply(KeptLines(**asdict(tally)))


def _so_far(tally: _Tally) -> str:
    done = tally.on_disk_to
    return f"; lines 1 to {done} are dealt with and on disk: go on from line {done + 1}" if done else ""


async def _in_turn(here: House, taking: Taking[S], batch: Batch, once: Once | None, tally: _Tally) -> None:
    """Keeps a batch as soon as there is a place at the desk: half a body is worse than a slow one."""
    deadline = asyncio.get_running_loop().time() + PATIENCE_S
    while here.writers.full and asyncio.get_running_loop().time() < deadline:
        await asyncio.sleep(WAIT_S)
    await here.writers.run(_take, here, taking, batch, once, tally)


def _take(here: House, taking: Taking[S], batch: Batch, once: Once | None, tally: _Tally) -> None:
    own = None if once is None else _of_batch(once, batch)
    bodies, bad = _read(batch, taking.shape, here.settings.max_line)
    now = here.clock.now()
    records = {
        number: taking.record(body, now, own, number - batch.first) for number, body in bodies.items()
    }
    faults = here.engine.intake.faults(list(records.values()))
    numbers = list(records)
    bad |= {numbers[place]: fault for place, fault in faults.items()}
    good = {number: record for number, record in records.items() if number not in bad}
    if good:
        wanted = list(good.values())
        notes = taking.notes(wanted)  # first: what can fail must not do so behind what was kept
        tally.add(taking.keep(wanted, own), notes, [bodies[number] for number in good])
    tally.refuse(bad)


def _read(batch: Batch, shape: type[S], most: int) -> tuple[dict[int, S], dict[int, str]]:
    """What the lines of a batch say, and what is wrong with the others, by line number; blank: neither."""
    bodies, bad = {}, {}
    for number, line in enumerate(batch.lines, batch.first):
        if line is None:
            bad[number] = f"more than {most} bytes; send less in one line"
        elif line.strip():
            try:
                bodies[number] = decode(line, shape)
            except RequestError as error:
                bad[number] = error.detail.removeprefix("body: ")
    return bodies, bad


def _of_batch(once: Once, batch: Batch) -> Once:
    """The key of one batch, bound to what its lines say."""
    digest = blake2b(digest_size=16)
    for line in batch.lines:
        digest.update(b"-" if line is None else b"%d " % len(line) + line)
    return Once(f"{blake2b(once.key.encode(), digest_size=16).hexdigest()}:{batch.first}", digest.digest())
