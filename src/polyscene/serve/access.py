"""Who is calling, and what that caller may do."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from hmac import compare_digest
from math import ceil
from time import monotonic
from urllib.parse import parse_qsl

from starlette.datastructures import Headers

from polyscene.core.clock import Clock
from polyscene.jobs.keys import HEAD, ROLES, Key, KeyRole
from polyscene.serve.keyring import KeyRing
from polyscene.serve.limits import Buckets
from polyscene.serve.problems import RequestError
from polyscene.serve.sessions import COOKIE, Session, Sessions
from polyscene.serve.settings import Settings

CALLER = "polyscene.caller"
"""Where a request's scope tells its `Caller`."""
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
_IN_QUERY = frozenset({"key", "api_key", "apikey", "access_token", "token", "authorization"})
_BEARER = re.compile(r"bearer +([!-~]{1,200})", re.IGNORECASE)
_LOGINS_A_SECOND, _LOGINS_AT_ONCE = 0.5, 10


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sent a request. `role` None may do nothing; `session` is that of a browser."""

    name: str
    role: KeyRole | None
    rate: float
    session: Session | None = None

    def may(self, role: str) -> bool:
        """Whether this caller may do what needs `role`; `open` is for everybody."""
        return role == "open" or (self.role is not None and ROLES.index(self.role) >= ROLES.index(role))


NOBODY = Caller("", None, 0.0)


class Access:
    """Keys, sessions and limits of one server.

    Without a file of keys everybody is an administrator: such a server listens on loopback only.
    """

    def __init__(self, keys: KeyRing, settings: Settings, clock: Clock) -> None:
        self._keys = keys
        self._settings = settings
        self._clock = clock
        self._buckets = Buckets()
        self.sessions = Sessions()

    @property
    def locked(self) -> bool:
        """Whether a key is needed."""
        return self._keys.locked

    def check_query(self, query: str) -> None:
        """Refuses keys in addresses, which end up in logs and histories.

        Raises:
            RequestError: 401.
        """
        if query and (HEAD in query or (self._keys.locked and _names_key(query))):
            raise _unknown(
                "a key in an address ends up in logs: revoke it, and send keys as 'Authorization: Bearer'"
            )

    def caller(self, method: str, headers: Headers) -> Caller:
        """Who sent this request.

        Raises:
            RequestError: 401 no key or one that does not open, 403 a browser's request that its own page
                did not send, 429 too many requests; each says what to do.
        """
        if not self._keys.locked:
            return self._paced(Caller("", ROLES[-1], self._settings.anonymous_rate))
        sent = headers.getlist("authorization")
        if sent:
            return self._paced(self._by_key(sent))
        session = self._session(headers)
        if session is None:
            raise _unknown("this service needs a key; send it as 'Authorization: Bearer KEY'", given=False)
        if method not in _SAFE_METHODS:
            _check_page(headers, session[0])
        return self._paced(_caller(session[1], self._settings, session[0]))

    def login(self, text: str, address: str) -> Caller:
        """Whoever shows a key, with a new session.

        Raises:
            RequestError: 401 not a key, 429 too many wrong ones from this address, 422 no keys are in use.
        """
        if not self._keys.locked:
            raise RequestError(422, "session: this service has no keys; nobody needs to sign in")
        now = self._clock.now()
        wait = self._buckets.wait(f"login {address}", _LOGINS_A_SECOND, _LOGINS_AT_ONCE, monotonic())
        if wait:
            raise _too_many(wait, "session: too many attempts")
        key = self._keys.find(text, now)
        if key is None:
            raise RequestError(
                401, "session: this key opens nothing; it may be mistyped, expired or revoked"
            )
        return _caller(key, self._settings, self.sessions.start(key.digest, now))

    def _by_key(self, sent: Sequence[str]) -> Caller:
        match = _BEARER.fullmatch(sent[0].strip()) if len(sent) == 1 else None
        if match is None:
            raise _unknown("expected one header 'Authorization: Bearer KEY'")
        key = self._keys.find(match[1], self._clock.now())
        if key is None:
            raise _unknown("this key opens nothing; it may be mistyped, expired or revoked")
        return _caller(key, self._settings)

    def _session(self, headers: Headers) -> tuple[Session, Key] | None:
        for cookie in headers.get("cookie", "").split(";"):
            name, _, value = cookie.strip().partition("=")
            if name == COOKIE:
                found = self.sessions.find(value, self._clock.now())
                key = found and self._keys.by_digest(found.digest, self._clock.now())
                return (found, key) if found and key else None
        return None

    def _paced(self, caller: Caller) -> Caller:
        if caller.rate > 0:
            wait = self._buckets.wait(
                f"key {caller.name}", caller.rate, max(1.0, 2 * caller.rate), monotonic()
            )
            if wait:
                raise _too_many(wait, f"at most {caller.rate:g} requests a second")
        return caller


def _caller(key: Key, settings: Settings, session: Session | None = None) -> Caller:
    return Caller(key.name, key.role, settings.rate if key.rate is None else key.rate, session)


def _names_key(query: str) -> bool:
    return any(name.lower() in _IN_QUERY for name, _ in parse_qsl(query, keep_blank_values=True))


def _check_page(headers: Headers, session: Session) -> None:
    """A browser sends cookies along with whatever a page asks it to; only our own pages know the word."""
    if not compare_digest(headers.get("x-csrf-token", "").encode(), session.csrf.encode()):
        raise RequestError(403, "session: X-CSRF-Token is missing or wrong; GET /v1/session tells it")
    origin = headers.get("origin")
    same = origin is not None and origin.partition("://")[2] == headers.get("host")
    if not same and headers.get("sec-fetch-site") != "same-origin":
        raise RequestError(
            403, "session: the request tells no origin; only the service's own pages may send it"
        )


def _unknown(detail: str, *, given: bool = True) -> RequestError:
    challenge = 'Bearer realm="polyscene"' + (', error="invalid_token"' if given else "")
    return RequestError(401, detail, {"WWW-Authenticate": challenge})


def _too_many(wait: float, what: str) -> RequestError:
    seconds = max(1, ceil(wait))
    return RequestError(429, f"{what}; come back in {seconds} s", {"Retry-After": str(seconds)})
