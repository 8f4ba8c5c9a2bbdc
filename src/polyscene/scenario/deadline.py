"""Work that is given up when it takes too long: the thread behind it goes on, the caller does not wait."""

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextvars import copy_context
from queue import SimpleQueue
from threading import BoundedSemaphore, Thread
from typing import Any, TypeVar

T = TypeVar("T")
MOST = 32
"""Helpers at once. When so many hang, new work is given up at once, so that no more threads pile up."""


class _Helper(Thread):
    """Does one piece of work after another; a daemon, so that one that hangs can't keep a process alive."""

    def __init__(self) -> None:
        super().__init__(name="polyscene-helper", daemon=True)
        self.inbox: SimpleQueue[tuple[Future[Any], Callable[[], Any]]] = SimpleQueue()

    def run(self) -> None:
        """Works for ever."""
        while True:
            future, work = self.inbox.get()
            try:
                found = work()
            except BaseException as problem:  # noqa: BLE001 (whoever asked raises it again)
                future.set_exception(problem)
            else:
                future.set_result(found)
            del future, work  # an idle helper keeps nothing alive
            found = None
            _idle.append(self)
            _places.release()


_idle: deque[_Helper] = deque()
_places = BoundedSemaphore(MOST)


def within(seconds: float, work: Callable[[], T]) -> T:
    """What `work` gives, under the caller's context variables.

    It must not change what the caller reads, because it may go on after it was given up.

    Raises:
        TimeoutError: It took longer than `seconds`, or all helpers are busy with what was given up.
    """
    if not _places.acquire(blocking=False):
        raise TimeoutError
    try:
        helper = _idle.pop()
    except IndexError:
        helper = _Helper()
        helper.start()
    future: Future[T] = Future()
    context = copy_context()
    helper.inbox.put((future, lambda: context.run(work)))
    return future.result(seconds)
