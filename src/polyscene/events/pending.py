"""Exposures on their way to the disk: readable at once, written soon, held until they are safe."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from threading import Lock
from typing import Any

from polyscene.core.errors import BusyError
from polyscene.events.event import Exposure
from polyscene.events.group import GroupCommit

MOST_PENDING = 10_000
"""Exposures that may wait for the disk."""


class Pending:
    """What `append_exposure` was given and no commit has kept yet; `keep` writes it in a transaction."""

    def __init__(
        self, group: GroupCommit, keep: Callable[[Any, Sequence[Exposure]], None], name: str
    ) -> None:
        self._group, self._keep, self._name = group, keep, name
        self._waiting: dict[str, Exposure] = {}
        self._scheduled = False
        self._door = Lock()

    def __len__(self) -> int:
        return len(self._waiting)

    def get(self, request_id: str) -> Exposure | None:
        """The exposure of a request, if it still waits."""
        with self._door:
            return self._waiting.get(request_id)

    def add(self, exposure: Exposure) -> None:
        """Lets an exposure wait for company; the first one of a request id stays.

        Raises:
            BusyError: Too many wait.
        """
        with self._door:
            if len(self._waiting) >= MOST_PENDING:
                waiting = f"{MOST_PENDING} exposures wait for the disk"
                raise BusyError(f"{self._name}: {waiting}; check that it can be written to, then retry")
            self._waiting.setdefault(exposure.request_id, exposure)
            needed, self._scheduled = not self._scheduled, True
        if needed:
            self._schedule(urgent=False)

    def flush(self) -> None:
        """Returns when every exposure added before is safe on disk."""
        self._schedule(urgent=True).result()

    def _schedule(self, *, urgent: bool) -> "Future[Any]":
        taken: list[Exposure] = []

        def work(connection: Any) -> None:
            with self._door:
                taken.extend(self._waiting.values())
                self._scheduled = False
            self._keep(connection, taken)

        def done(future: "Future[Any]") -> None:
            # what was not kept goes on waiting: the next add or flush tries again
            with self._door:
                self._scheduled = self._scheduled and future.exception() is None
                for exposure in taken if future.exception() is None else ():
                    self._waiting.pop(exposure.request_id, None)

        future = self._group.submit(work, urgent=urgent)
        future.add_done_callback(done)
        return future
