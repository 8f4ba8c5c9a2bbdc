"""Work off the event loop: bounded threads, and a bounded number of calls in the house."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from typing import ParamSpec, TypeVar

from polyscene.core.errors import BusyError

P = ParamSpec("P")
T = TypeVar("T")


class Desk:
    """Runs blocking calls on `threads` threads and refuses a call when `waiting` are already in.

    A refused call costs nothing, so an overloaded server answers at once instead of ever later. A call
    whose client went away still counts until it ends, because it still holds its thread.
    """

    def __init__(self, name: str, threads: int, waiting: int) -> None:
        self.name = name
        self.limit = waiting
        self._inside = 0
        self._door = threading.Lock()
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=f"polyscene-{name}")

    @property
    def inside(self) -> int:
        """Calls that run or wait."""
        return self._inside

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What `work` gives.

        Raises:
            BusyError: Too many calls are waiting; try again a little later.
        """
        with self._door:
            if self._inside >= self.limit:
                raise BusyError(f"{self.name}: too many requests are waiting; try again in a second")
            self._inside += 1
        context = copy_context()
        job = self._pool.submit(lambda: context.run(work, *args, **kwargs))
        job.add_done_callback(self._leave)
        return await asyncio.wrap_future(job)

    def _leave(self, job: "Future[T]") -> None:
        with self._door:
            self._inside -= 1

    def close(self) -> None:
        """Waits for the calls that are in."""
        self._pool.shutdown(wait=True)
