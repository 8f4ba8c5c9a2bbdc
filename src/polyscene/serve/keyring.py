"""The keys of a workspace while a service runs: looked at again as they change."""

from pathlib import Path
from time import monotonic

import structlog

from polyscene.core.errors import StoreError
from polyscene.jobs.keys import Key, find, read

LOOK_S = 0.5
"""How long a change of the file may go unseen."""
_log = structlog.get_logger(__name__)


class KeyRing:
    """The keys in a file, as of half a second ago at most.

    Once there was a key, nobody comes in without one: not when all are revoked, not when the file is gone.
    A file that can't be read opens nothing, until it is mended.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._keys: tuple[Key, ...] = ()
        self._stamp: tuple[int, ...] = ()
        self._looked = float("-inf")
        self._locked = False

    @property
    def locked(self) -> bool:
        """Whether a key is needed."""
        self._look()
        return self._locked

    def find(self, text: str, now: int) -> Key | None:
        """The key that `text` is, unless it has expired."""
        self._look()
        return _valid(find(self._keys, text), now)

    def by_digest(self, digest: str, now: int) -> Key | None:
        """The key with this digest, unless it was revoked or has expired."""
        self._look()
        return _valid(next((each for each in self._keys if each.digest == digest), None), now)

    def _look(self) -> None:
        if self._path is None or monotonic() - self._looked < LOOK_S:
            return
        self._looked = monotonic()
        try:
            found = self._path.stat()
            stamp: tuple[int, ...] = (found.st_ino, found.st_mtime_ns, found.st_size)
        except FileNotFoundError:
            stamp = ()
        except OSError:
            stamp = (0,)
        if stamp == self._stamp:
            return
        self._stamp = stamp
        self._locked = self._locked or bool(stamp)
        try:
            self._keys = read(self._path)
        except StoreError as problem:
            self._keys = ()
            _log.error("keys_unreadable", detail=str(problem))


def _valid(key: Key | None, now: int) -> Key | None:
    return None if key is None or (key.expires is not None and now >= key.expires) else key
