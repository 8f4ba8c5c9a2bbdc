"""Sessions of people at the console: a cookie stands for a key, so that no page ever holds one."""

import secrets
from collections import OrderedDict
from dataclasses import dataclass, replace

from polyscene.core.clock import SECOND_MS

COOKIE = "polyscene_session"
IDLE_MS = 30 * 60 * SECOND_MS
"""A session that nobody used for so long has ended."""
LONGEST_MS = 12 * 3600 * SECOND_MS
"""No session lasts longer."""
MOST = 1_000


@dataclass(frozen=True, slots=True)
class Session:
    """A signed-in browser. `digest` is that of its key; `csrf` the word that its own pages know."""

    id: str
    digest: str
    csrf: str
    expires: int
    seen: int


class Sessions:
    """The open sessions, in memory only: a restart signs everybody out. The oldest make room."""

    def __init__(self) -> None:
        self._open: OrderedDict[str, Session] = OrderedDict()

    def start(self, digest: str, now: int) -> Session:
        """A new session of the key with this digest."""
        made = Session(
            id=secrets.token_urlsafe(32),
            digest=digest,
            csrf=secrets.token_urlsafe(32),
            expires=now + LONGEST_MS,
            seen=now,
        )
        self._open[made.id] = made
        while len(self._open) > MOST:
            self._open.popitem(last=False)
        return made

    def find(self, session: str, now: int) -> Session | None:
        """The session of a cookie, now used; None when there is none or it has ended."""
        found = self._open.pop(session, None)
        if found is None or now >= found.expires or now - found.seen >= IDLE_MS:
            return None
        self._open[session] = found = replace(found, seen=now)
        return found

    def end(self, session: str) -> None:
        """Signs out."""
        self._open.pop(session, None)
