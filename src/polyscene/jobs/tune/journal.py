"""The file of a study: a line of JSON per trial, so that what was learned outlives a kill."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import msgspec

from polyscene.artifacts.files import append_synced, refused
from polyscene.core.errors import BusyError, ConflictError, StoreError
from polyscene.jobs.tune.ground import Ask, Facts

End = Literal["done", "behind", "memory", "time", "failed"]
"""How a trial ended: scored; behind the others on its way; over its memory or time; or why it could not."""


class Head(msgspec.Struct, frozen=True, kw_only=True, tag="study"):
    """The first line: what the study is about. `format` is the number of this layout."""

    ask: Ask
    facts: Facts
    format: Literal[1] = 1


class Tried(msgspec.Struct, frozen=True, kw_only=True, tag="trial"):
    """One trial.

    `settings`: what differs from where the search of its kind began; empty for the beginning itself.
    `glimpses`: share of the training and score then. `seconds` it took, `at_s` on the study's own clock.
    """

    kind: str
    settings: dict[str, Any]
    end: End
    why: str = ""
    score: float | None = None
    glimpses: list[tuple[float, float]] = []
    request_ms: float | None = None
    fit_cpu_s: float | None = None
    seconds: float = 0.0
    at_s: float = 0.0

    def within(self, latency_ms: float | None) -> bool:
        """Whether it may be chosen: scored, and quick enough."""
        return self.end == "done" and (latency_ms is None or (self.request_ms or 0.0) <= latency_ms)


class Looked(msgspec.Struct, frozen=True, kw_only=True, tag="looked"):
    """The end of a search: what was asked of it, and the result once the test part was looked at."""

    limits: dict[str, Any]
    result: dict[str, Any]


Line = Head | Tried | Looked


class Journal:
    """The lines of a study so far; whoever has it open is the only one who writes."""

    def __init__(self, path: Path, lines: list[Line]) -> None:
        self.path = path
        self.tried = [each for each in lines if isinstance(each, Tried)]
        self.looked = [each for each in lines if isinstance(each, Looked)]
        self._head = next((each for each in lines if isinstance(each, Head)), None)

    @property
    def used_s(self) -> float:
        """Seconds that went into the study before."""
        return max((each.at_s for each in self.tried), default=0.0)

    @property
    def ask(self) -> Ask | None:
        """What the study is about; None for a new one."""
        return None if self._head is None else self._head.ask

    def begin(self, ask: Ask, facts: Facts) -> None:
        """Passes if the study is about this, and makes it so if it is new.

        Raises:
            ConflictError: It is about something else.
        """
        head = Head(ask=ask, facts=facts)
        if self._head is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._head = head
            self._write(head)
        elif self._head != head:
            changed = "data" if self._head.ask == ask else "question"
            raise ConflictError(
                f"{self.path}: this study is about other {changed} than is asked now; delete it or name"
                " another file (--study FILE)"
            )

    def add(self, line: Tried | Looked) -> None:
        """Returns when the line is on disk."""
        if isinstance(line, Tried):
            self.tried.append(line)
        else:
            self.looked.append(line)
        self._write(line)

    def _write(self, line: Line) -> None:
        with refused(self.path, "keeping a trial"):
            append_synced(self.path, msgspec.json.encode(line))


@contextmanager
def opened(path: Path) -> Iterator[Journal]:
    """The study at `path`, a new one where there is none; a last line that a kill cut short is dropped.

    Raises:
        BusyError: Another process works on it.
        StoreError: It is no study.
    """
    with refused(path, "opening the study"):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as problem:
            raise BusyError(f"{path}: another `polyscene tune` works on this study") from problem
        content = path.read_bytes()
        whole = content.rfind(b"\n") + 1
        os.ftruncate(descriptor, whole)
        try:
            lines: list[Line] = [
                msgspec.json.decode(each, type=Line) for each in content[:whole].splitlines()
            ]
        except msgspec.DecodeError as problem:
            raise StoreError(f"{path}: no study of `polyscene tune` ({problem})") from problem
        yield Journal(path, lines)
    finally:
        os.close(descriptor)
