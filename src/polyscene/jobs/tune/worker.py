"""A process that fits and scores what it is told, line by line; see `crew.py` for the other end."""

import os
import sys
import time
from threading import Thread
from typing import IO, Any

import msgspec

from polyscene.core.errors import PolysceneError
from polyscene.jobs.tune.ground import RUNG_USERS, Ask, Facts, Ground, Mark, Score, config_of, ground_of
from polyscene.observe.timing import resident_bytes
from polyscene.retrieve.step import FAILURES

OVER_MEMORY = 77
"""Exit code of a worker that held more than it may."""
LOOK_S = 0.05
"""How often the memory is looked at."""


class Hire(msgspec.Struct, frozen=True, kw_only=True):
    """The first line to a worker: what is tuned for, and most MB that its process may hold."""

    ask: Ask
    memory_mb: float | None = None


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """One piece of work: score a config, after an early rung if `rung`; or mark it on the test part."""

    kind: str
    settings: dict[str, Any]
    rung: bool = False
    test: bool = False


class Glimpse(msgspec.Struct, frozen=True, kw_only=True, tag="glimpse"):
    """A score on the way, after this share of the training; the worker waits to hear whether to go on."""

    share: float
    score: float


class Refusal(msgspec.Struct, frozen=True, kw_only=True, tag="refusal"):
    """Why the config can't be fitted or the data not read."""

    why: str


class Stopped(msgspec.Struct, frozen=True, kw_only=True, tag="stopped"):
    """The trial ended where it was told to."""


Word = Facts | Glimpse | Score | Mark | Refusal | Stopped
"""What a worker says."""


class _Enough(Exception):  # noqa: N818 - no error: the way out of a training that was told to stop
    """The trial is not worth its time."""


class Worker:
    """Reads orders from one file and writes words to another."""

    def __init__(self, hears: IO[bytes], says: IO[bytes], ground: Ground) -> None:
        self._hears, self._says, self._ground = hears, says, ground

    def work(self) -> None:
        """Until there is nothing more to read."""
        self.say(self._ground.facts)
        while line := self._hears.readline():
            try:
                self.say(self._done(msgspec.json.decode(line, type=Order)))
            except _Enough:
                self.say(Stopped())
            except (*FAILURES, MemoryError) as why:
                # A search meets settings that nobody tried before: whatever they break is told, not fatal.
                self.say(Refusal(why=f"{type(why).__name__}: {why}"))

    def say(self, word: Word) -> None:
        """One line."""
        self._says.write(msgspec.json.encode(word) + b"\n")
        self._says.flush()

    def _done(self, order: Order) -> Word:
        config = config_of(order.kind, order.settings)
        if order.test:
            return self._ground.mark(config)
        if order.rung:
            self._glimpse(RUNG_USERS, self._ground.rung(config))
        seen = 0

        def watch(score: float) -> None:
            nonlocal seen
            seen += 1
            self._glimpse(_share(seen, config), score)

        return self._ground.score(config, watch)

    def _glimpse(self, share: float, score: float) -> None:
        self.say(Glimpse(share=share, score=score))
        line = self._hears.readline()
        if not line:
            sys.exit(0)
        if not msgspec.json.decode(line, type=bool):
            raise _Enough


def _share(seen: int, config: object) -> float:
    """How much of a training is done at its validation number `seen`."""
    epochs, every = getattr(config, "epochs", 0), getattr(config, "validate_every", 1)
    return min(1.0, seen * every / max(1, epochs))


def main() -> None:
    """Serves the process that started this one, over standard input and output."""
    # What a library prints must not come between the words.
    says = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    hears = sys.stdin.buffer
    hire = msgspec.json.decode(hears.readline(), type=Hire)
    Thread(target=_guard, args=(hire.memory_mb, os.getppid()), daemon=True).start()
    try:
        ground = ground_of(hire.ask)
    except PolysceneError as why:
        says.write(msgspec.json.encode(Refusal(why=str(why))) + b"\n")
        says.flush()
        return
    Worker(hears, says, ground).work()


def _guard(memory_mb: float | None, parent: int) -> None:
    """Ends the process when it holds too much, or when nobody is left to work for."""
    while os.getppid() == parent:
        if memory_mb is not None and resident_bytes() > memory_mb * 1e6:
            os._exit(OVER_MEMORY)
        time.sleep(LOOK_S)
    os._exit(0)


if __name__ == "__main__":
    main()
