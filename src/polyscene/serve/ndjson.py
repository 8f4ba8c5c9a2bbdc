"""Bodies of lines (NDJSON), read as they come: in batches that depend on the content alone."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass

from starlette.requests import ClientDisconnect, Request

from polyscene.serve.bodies import check_head
from polyscene.serve.house import house
from polyscene.serve.operations import NDJSON
from polyscene.serve.problems import RequestError

BATCH_LINES = 1_000
BATCH_BYTES = 2 * 1024 * 1024
"""A batch is complete with the line that reaches either."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Lines that are kept together; `first` is the number of the first one, from 1. None: too long."""

    first: int
    lines: list[bytes | None]

    @property
    def last(self) -> int:
        """Number of the last line."""
        return self.first + len(self.lines) - 1


class Splitter:
    """Cuts a stream of bytes into lines of at most `most` bytes, and those into batches.

    Where a batch ends depends on the lines alone, not on how they came, so that the same body sent again
    is cut alike.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._rest = bytearray()
        self._too_long = False
        self._first, self._bytes = 1, 0
        self._lines: list[bytes | None] = []

    def feed(self, chunk: bytes) -> list[Batch]:
        """The batches that a piece of the stream completes."""
        batches = []
        *ended, rest = chunk.split(b"\n")
        for part in ended:
            self._add(part)
            batches += self._end_line()
        self._add(rest)
        return batches

    def close(self) -> list[Batch]:
        """What is left when the stream has ended; its last line needs no newline."""
        batches = self._end_line() if self._rest or self._too_long else []
        return batches + self._cut() if self._lines else batches

    def _add(self, part: bytes) -> None:
        self._too_long = self._too_long or len(self._rest) + len(part) > self._most
        if self._too_long:
            self._rest.clear()
        else:
            self._rest += part

    def _end_line(self) -> list[Batch]:
        self._lines.append(None if self._too_long else bytes(self._rest))
        self._bytes += len(self._rest)
        self._rest.clear()
        self._too_long = False
        return self._cut() if len(self._lines) >= BATCH_LINES or self._bytes >= BATCH_BYTES else []

    def _cut(self) -> list[Batch]:
        batch = Batch(self._first, self._lines)
        self._first, self._lines, self._bytes = batch.last + 1, [], 0
        return [batch]


async def read_batches(request: Request) -> AsyncGenerator[Batch, None]:
    """The lines of a body, batch by batch; the next is not read before the one at hand was dealt with.

    Raises:
        RequestError: 415 not NDJSON, 413 too large, 408 too slow, 400 cut off. What was given out before
            stays dealt with.
    """
    settings = house(request).settings
    check_head(request, NDJSON, settings.max_lines)
    splitter, total = Splitter(settings.max_line), 0
    stream = request.stream()
    deadline = asyncio.get_running_loop().time() + settings.lines_timeout_s
    while chunk := await _next(stream, deadline, settings.lines_timeout_s):
        total += len(chunk)
        if total > settings.max_lines:
            raise RequestError(413, f"body: more than {settings.max_lines} bytes; send the rest in another")
        for batch in splitter.feed(chunk):
            yield batch
            deadline = asyncio.get_running_loop().time() + settings.lines_timeout_s
    for batch in splitter.close():
        yield batch


async def _next(stream: AsyncIterator[bytes], deadline: float, patience_s: float) -> bytes:
    """The next piece of a body; empty at its end."""
    try:
        async with asyncio.timeout_at(deadline):
            while (chunk := await anext(stream, None)) is not None:
                if chunk:
                    return chunk
            return b""
    except TimeoutError as error:
        raise RequestError(408, f"body: no batch of lines was complete after {patience_s:g} s") from error
    except ClientDisconnect as error:
        raise RequestError(400, "body: the client went away") from error
