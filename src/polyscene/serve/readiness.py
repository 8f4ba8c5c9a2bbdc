"""Whether a service can answer, told at once, whatever else it does."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from threading import Event
from typing import Any

LONGEST_S = 0.5
"""How long a question may wait for news; after that it gets what was known before."""


class Readiness:
    """Asks `status` on a thread of its own, once for all who want to know at the same time.

    Looking for a new bundle may take as long as loading it; a service that goes on answering meanwhile must
    not be taken for a dead one.
    """

    def __init__(self, status: Callable[[], dict[str, Any]], draining: Event) -> None:
        self._status = status
        self._draining = draining
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="polyscene-readiness")
        self._asked: Future[dict[str, Any]] | None = None
        self._known: dict[str, Any] = {"ready": False, "problems": ["starting"]}

    async def status(self) -> dict[str, Any]:
        """``ready`` and what else `status` tells; not ready once the service was told to end."""
        if self._draining.is_set():
            return {**self._known, "ready": False, "problems": ["the service was told to end"]}
        if self._asked is None or self._asked.done():
            self._asked = self._pool.submit(self._status)
        with suppress(TimeoutError):
            news = asyncio.shield(asyncio.wrap_future(self._asked))
            self._known = await asyncio.wait_for(news, LONGEST_S)
        return self._known

    def close(self) -> None:
        """Waits for a question that is under way."""
        self._pool.shutdown(wait=True)
