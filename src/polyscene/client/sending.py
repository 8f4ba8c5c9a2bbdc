"""Sending calls over one kept pool of connections, from threads or from a loop."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any, Self, TypeVar

import httpx

from polyscene.client.calls import Attempt, Call, headers_of

T = TypeVar("T")


class Sender:
    """Sends calls and waits for their replies; one object may serve many threads.

    Args:
        url: Where the service lives, such as ``https://recommend.example.com``.
        api_key: A key from `polyscene keys add`; None for a service on loopback without keys.
        timeout_s: Seconds for one try.
        retries: Tries after the first one, after 0.1 s, 0.2 s ... or what the service asks for.
    """

    def __init__(
        self, url: str, api_key: str | None = None, *, timeout_s: float = 10.0, retries: int = 3
    ) -> None:
        self._http = httpx.Client(base_url=url, headers=headers_of(api_key), timeout=timeout_s)
        self._retries = retries

    def send(self, call: Call[T]) -> T:
        """The reply. Raises as `Attempt.outcome`."""
        attempt = Attempt(call, self._retries)
        while (wait_s := attempt.heard(self._try(call))) is not None:
            time.sleep(wait_s)
        return attempt.outcome()

    def _try(self, call: Call[Any]) -> httpx.Response | httpx.TransportError:
        content = call.body if call.lines is None else call.encoded()
        try:
            return self._http.request(
                call.method, call.path, params=call.query, headers=call.headers, content=content
            )
        except httpx.TransportError as problem:
            return problem

    def close(self) -> None:
        """Lets go of the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        self.close()


class AsyncSender:
    """As `Sender`, for a program with an asyncio loop."""

    def __init__(
        self, url: str, api_key: str | None = None, *, timeout_s: float = 10.0, retries: int = 3
    ) -> None:
        self._http = httpx.AsyncClient(base_url=url, headers=headers_of(api_key), timeout=timeout_s)
        self._retries = retries

    async def send(self, call: Call[T]) -> T:
        """The reply. Raises as `Attempt.outcome`."""
        attempt = Attempt(call, self._retries)
        while (wait_s := attempt.heard(await self._try(call))) is not None:
            await asyncio.sleep(wait_s)
        return attempt.outcome()

    async def _try(self, call: Call[Any]) -> httpx.Response | httpx.TransportError:
        content = call.body if call.lines is None else _stream(call)
        try:
            return await self._http.request(
                call.method, call.path, params=call.query, headers=call.headers, content=content
            )
        except httpx.TransportError as problem:
            return problem

    async def close(self) -> None:
        """Lets go of the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *failure: object) -> None:
        await self.close()


async def _stream(call: Call[Any]) -> AsyncIterator[bytes]:
    for line in call.encoded():
        yield line
