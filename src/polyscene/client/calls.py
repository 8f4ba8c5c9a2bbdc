"""One call of the API: what goes out, how often it is tried, what comes back."""

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from urllib.parse import quote
from uuid import uuid4

import httpx
import msgspec

from polyscene import __version__
from polyscene.core.errors import (
    AccessError,
    BusyError,
    ConflictError,
    InputError,
    NotFoundError,
    PolysceneError,
    ServiceError,
)

T = TypeVar("T")
MOST_WAIT_S = 30.0
FIRST_WAIT_S = 0.1
NOT_TAKEN = (429, 503)
"""Statuses that say that nothing was done with the request, so that it may be sent again whatever it is."""
_ERRORS: dict[int, type[PolysceneError]] = {
    401: AccessError,
    403: AccessError,
    404: NotFoundError,
    408: BusyError,
    409: ConflictError,
    429: BusyError,
    503: BusyError,
}


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """A request as it stands, and the type of its reply.

    `path` has its holes filled. `body` is JSON; `lines` are values that go out as lines of JSON instead,
    once only, so they are not tried again. `key` makes a second try of a write count once.
    """

    method: str
    path: str
    reply: type[T]
    query: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    lines: Iterable[Any] | None = None
    key: str = ""

    @property
    def headers(self) -> dict[str, str]:
        """What goes out beside the body."""
        found = {"Accept": "application/json"}
        if self.lines is not None:
            found["Content-Type"] = "application/x-ndjson"
        elif self.body:
            found["Content-Type"] = "application/json"
        if self.key:
            found["Idempotency-Key"] = self.key
        return found

    def encoded(self) -> Iterator[bytes]:
        """The lines, one by one."""
        for line in self.lines or ():
            yield msgspec.json.encode(line) + b"\n"

    def read(self, response: httpx.Response) -> T:
        """The reply.

        Raises:
            InputError: 400, 413, 415, 422: what to mend stands in the text.
            AccessError: 401, 403: the key is missing, wrong, or not allowed this.
            NotFoundError: 404.
            ConflictError: 409.
            BusyError: 408, 429, 503, after all tries.
            ServiceError: Any other failure of the service, or a reply that is not one of ours.
        """
        if response.is_success:
            if self.reply is bytes:
                return response.content  # type: ignore[return-value]
            try:
                return msgspec.json.decode(response.content, type=self.reply)
            except msgspec.MsgspecError as problem:
                raise ServiceError(
                    f"{self.method} {self.path}: a reply that can't be read: {problem}"
                ) from problem
        raise self._error(response)

    def _error(self, response: httpx.Response) -> PolysceneError:
        status = response.status_code
        try:
            found = msgspec.json.decode(response.content, type=dict[str, Any])
        except msgspec.MsgspecError:
            found = {}
        text = str(found.get("detail") or response.reason_phrase)
        if found.get("request"):
            text += f" (request {found['request']})"
        kind = _ERRORS.get(status) or (InputError if 400 <= status < 500 else ServiceError)
        return kind(f"{self.method} {self.path}: {status}: {text}")


class Attempt(Generic[T]):
    """One call on its way: knows after each try whether to send again, and in the end what came of it."""

    def __init__(self, call: Call[T], retries: int) -> None:
        self.call = call
        self._left = 0 if call.lines is not None else retries
        self._backoff_s = FIRST_WAIT_S
        self._heard: httpx.Response | httpx.TransportError

    def heard(self, heard: httpx.Response | httpx.TransportError) -> float | None:
        """Seconds until the next try, twice as many each time and with some chance in it; None: no more."""
        self._heard = heard
        asked = ""
        if isinstance(heard, httpx.Response):
            if heard.status_code not in NOT_TAKEN:
                return None
            asked = heard.headers.get("retry-after", "")
        if not self._left:
            return None
        self._left -= 1
        backoff_s, self._backoff_s = self._backoff_s * random.uniform(0.5, 1.5), self._backoff_s * 2
        return min(max(float(asked) if asked.isdecimal() else 0.0, backoff_s), MOST_WAIT_S)

    def outcome(self) -> T:
        """The reply. Raises as `Call.read`, and ServiceError when the service can't be reached."""
        if isinstance(self._heard, httpx.TransportError):
            what = f"{type(self._heard).__name__}: {self._heard}"
            raise ServiceError(
                f"{self.call.method} {self.call.path}: no answer: {what}; does it run at this address?"
            ) from self._heard
        return self.call.read(self._heard)


def headers_of(api_key: str | None) -> dict[str, str]:
    """What every call of a client carries."""
    found = {"User-Agent": f"polyscene-python/{__version__}"}
    return found | {"Authorization": f"Bearer {api_key}"} if api_key else found


def filled(path: str, **holes: str) -> str:
    """A path pattern with ids in its holes, each percent-encoded."""
    for name, text in holes.items():
        path = path.replace("{" + name + ":path}", quote(text, safe="")).replace(
            "{" + name + "}", quote(text, safe="")
        )
    return path


def query_of(params: msgspec.Struct) -> tuple[tuple[str, str], ...]:
    """The parameters that differ from their defaults; a list gives one pair per member."""
    given = ((field, getattr(params, field.name)) for field in msgspec.structs.fields(params))
    return tuple(
        (field.encode_name, str(each).lower() if isinstance(each, bool) else str(each))
        for field, value in given
        if value is not None and value != field.default
        for each in (value if isinstance(value, list) else [value])
    )


def new_id() -> str:
    """An id that no other call has."""
    return uuid4().hex
