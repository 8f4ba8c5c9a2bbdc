"""Work off the event loop: bounded threads, and a bounded number of calls in the house."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from time import monotonic
from typing import ParamSpec, TypeVar

import structlog

from polyscene.core.errors import BusyError

P = ParamSpec("P")
T = TypeVar("T")
MEMORY, OVERLOAD = 32, 0.1
"""An overload: of the latest calls (about so many), more than this share was turned away."""
LATE_S = 0.025
"""In an overload, a request that waited so long before anybody looked at it is answered with no."""
_log = structlog.get_logger(__name__)


class Desk:
    """Runs blocking calls on `threads` threads and refuses a call when too many are already in.

    A burst may fill the house up to `limit`. In an overload a queue would make everybody wait and serve
    nobody more, so then only one call may wait, and none while `lag_s` says that the event loop itself is
    behind: the server says no at once, which costs it next to nothing, and answers the others nearly as
    fast as ever. A call whose client went away still counts until it ends, because it still holds its
    thread.
    """

    def __init__(self, name: str, threads: int, limit: int, lag_s: Callable[[], float] = float) -> None:
        self.name = name
        self.limit = limit
        self._threads = threads
        self._lag_s = lag_s
        self._inside = 0
        self._refused = 0
        self._told = monotonic()
        self._turned_away = 0.0
        self._door = threading.Lock()
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=f"polyscene-{name}")

    @property
    def inside(self) -> int:
        """Calls that run or wait."""
        return self._inside

    @property
    def full(self) -> bool:
        """Whether a call that came now would be refused."""
        if self._inside >= self.limit or self._turned_away <= OVERLOAD:
            return self._inside >= self.limit
        return self._inside > self._threads or self._lag_s() > LATE_S

    def refuse(self) -> None:
        """Turns a call away before it costs anything.

        Raises:
            BusyError: Always; the overload is logged, once a second and not for every call.
        """
        self._refused += 1
        self._turned_away += (1 - self._turned_away) / MEMORY
        if monotonic() - self._told >= 1.0:
            _log.warning("overload", desk=self.name, refused=self._refused, inside=self._inside)
            self._told, self._refused = monotonic(), 0
        raise BusyError(f"{self.name}: too many requests are waiting; try again in a second")

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What `work` gives.

        Raises:
            BusyError: Too many calls are waiting; try again a little later.
        """
        with self._door:
            full = self.full
            if not full:
                self._inside += 1
                self._turned_away -= self._turned_away / MEMORY
        if full:
            self.refuse()
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
