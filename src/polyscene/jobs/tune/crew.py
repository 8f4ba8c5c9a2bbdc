"""Workers, each a process with one thread that keeps the data loaded; see `worker.py` for the other end."""

import os
import selectors
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import IO, Any, Self, cast

import msgspec

from polyscene.core.errors import DataError, ServiceError
from polyscene.jobs.tune.ground import Ask, Facts
from polyscene.jobs.tune.worker import OVER_MEMORY, Hire, Order, Refusal, Word

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "POLARS_MAX_THREADS")
ENDED = {OVER_MEMORY: "memory"}


@dataclass(frozen=True, slots=True)
class Lost:
    """A worker ended before its work did: over its memory, out of time, or by itself."""

    why: str


@dataclass(slots=True, eq=False)
class Hand:
    """One worker: its process, what it works at, since when and until when."""

    process: "subprocess.Popen[bytes]"
    order: Order | None = None
    tag: Any = None
    began: float = 0.0
    until: float = float("inf")
    rest: bytes = b""
    ready: bool = False
    facts: Facts | None = None

    @property
    def idle(self) -> bool:
        """Whether it waits for an order."""
        return self.ready and self.order is None

    def tell(self, value: object) -> None:
        """A line to it; one that is gone is noticed when it is next listened to."""
        try:
            pipe = cast("IO[bytes]", self.process.stdin)
            pipe.write(msgspec.json.encode(value) + b"\n")
            pipe.flush()
        except BrokenPipeError:
            return


@dataclass(slots=True)
class Crew:
    """Some workers, hired on entering the with statement and let go at its end."""

    ask: Ask
    count: int
    memory_mb: float | None = None
    hands: list[Hand] = field(default_factory=list)
    _selector: selectors.BaseSelector = field(default_factory=selectors.DefaultSelector)

    def __enter__(self) -> Self:
        for _ in range(self.count):
            self._hire()
        return self

    def __exit__(self, *failure: object) -> None:
        for hand in self.hands:
            self._let_go(hand)
        self._selector.close()

    @property
    def idle(self) -> Sequence[Hand]:
        """Those that wait for an order."""
        return [hand for hand in self.hands if hand.idle]

    @property
    def busy(self) -> Sequence[Hand]:
        """Those at work."""
        return [hand for hand in self.hands if hand.order is not None]

    def facts(self) -> Facts:
        """What the data is, once every worker has read it.

        Raises:
            DataError: A worker can't read it, or they read different data.
        """
        while not all(hand.ready for hand in self.hands):
            for _ in self.listen():
                pass
        found = {hand.facts for hand in self.hands}
        if len(found) > 1:
            raise DataError("tune: the data changes while it is read; tune on a copy that stands still")
        return cast("Facts", found.pop())

    def give(self, hand: Hand, order: Order, tag: object, limit_s: float) -> None:
        """An order for an idle worker; after `limit_s` seconds the worker is replaced."""
        hand.order, hand.tag = order, tag
        hand.began = time.monotonic()
        hand.until = hand.began + limit_s
        hand.tell(order)

    def listen(self, wait_s: float = 0.2) -> Iterator[tuple[Hand, Word | Lost]]:
        """What the workers say within `wait_s` seconds; a `Lost` one has been replaced by another.

        Raises:
            DataError: A worker can't read the data.
            ServiceError: One ended while it read the data.
        """
        for key, _ in self._selector.select(wait_s):
            hand: Hand = key.data
            piece = os.read(key.fd, 1 << 20)
            if not piece:
                yield from self._lost(hand, ENDED.get(hand.process.wait(), "failed"))
                continue
            *lines, hand.rest = (hand.rest + piece).split(b"\n")
            for line in lines:
                yield from self._heard(hand, line)
        now = time.monotonic()
        for hand in [each for each in self.busy if now > each.until]:
            yield from self._lost(hand, "time")

    def _heard(self, hand: Hand, line: bytes) -> Iterator[tuple[Hand, Word]]:
        word: Word = msgspec.json.decode(line, type=Word)
        if hand.ready:
            yield hand, word
        elif isinstance(word, Facts):
            hand.facts, hand.ready = word, True
        elif isinstance(word, Refusal):
            raise DataError(word.why)

    def _lost(self, hand: Hand, why: str) -> Iterator[tuple[Hand, Lost]]:
        if not hand.ready:
            raise ServiceError(
                f"tune: a worker ended ({why}) while it read the data; raise --memory or lower --workers"
            )
        self._let_go(hand)
        self.hands.remove(hand)
        self._hire()
        yield hand, Lost(why)

    def _hire(self) -> None:
        process = subprocess.Popen(
            [sys.executable, "-m", "polyscene.jobs.tune.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, **dict.fromkeys(THREADS, "1")},
            # Ctrl-C is for us: a worker that also heard it would end a training as if that were its end.
            start_new_session=True,
        )
        hand = Hand(process)
        self.hands.append(hand)
        self._selector.register(cast("IO[bytes]", process.stdout), selectors.EVENT_READ, hand)
        hand.tell(Hire(ask=self.ask, memory_mb=self.memory_mb))

    def _let_go(self, hand: Hand) -> None:
        self._selector.unregister(cast("IO[bytes]", hand.process.stdout))
        hand.process.kill()
        hand.process.wait()
        for pipe in (hand.process.stdin, hand.process.stdout):
            try:
                cast("IO[bytes]", pipe).close()
            except BrokenPipeError:
                continue
