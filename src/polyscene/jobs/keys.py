"""Keys: who may call the service, with which role, until when and how often."""

import re
import secrets
from collections.abc import Sequence
from contextlib import closing
from hashlib import sha256
from hmac import compare_digest
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from polyscene.artifacts.files import refused, replace_synced
from polyscene.core.clock import DAY_MS, Clock, SystemClock
from polyscene.core.errors import ConflictError, InputError, NotFoundError, StoreError, nearest
from polyscene.events.store import lock
from polyscene.jobs.workspace import Workspace

FILE = "keys.json"
HEAD = "polyscene_"
"""Every key starts so: people and secret scanners know one when they see it."""
MOST_KEYS = 1_000
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")

KeyRole = Literal["read", "write", "admin"]
ROLES: tuple[KeyRole, ...] = ("read", "write", "admin")
"""Each may do what those before it may."""


class Key(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is kept of a key: everything but the key.

    `digest` is the SHA-256 of the key in hex. A slow password hash would add nothing: a key is 256 random
    bits and not a word that could be guessed, and every request would pay for it. `created` and `expires`
    are UTC ms (None: never). `rate` is requests a second (None: the service's own limit, 0: no limit).
    """

    name: str
    role: KeyRole
    digest: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
    created: int
    expires: int | None = None
    rate: Annotated[float, msgspec.Meta(ge=0)] | None = None


class _File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    format: Literal[1]
    keys: tuple[Key, ...]


def add(
    workspace: Path,
    name: str,
    role: str,
    *,
    days: float | None = None,
    rate: float | None = None,
    clock: Clock | None = None,
) -> str:
    """A new key, which is stored nowhere: whoever asked for it has the only copy.

    Args:
        workspace: Its folder; a running service takes the key up within a second.
        name: Who it is for; shows in logs and lists.
        role: One of `ROLES`.
        days: How long it holds; for good without it.
        rate: Requests a second; the service's own limit without it, 0 for none.
        clock: Tells the present.

    Raises:
        InputError: An odd name, an unknown role, a negative rate or duration, or too many keys.
        ConflictError: The name is taken.
        NotFoundError: There is no workspace.
    """
    if not _NAME.fullmatch(name):
        raise InputError(f"keys: name {name!r}: expected 1 to 64 letters (a-z), digits, '.', '_' or '-'")
    if role not in ROLES:
        raise InputError(f"keys: unknown role {role!r}{nearest(role, ROLES)}")
    if (days is not None and days <= 0) or (rate is not None and not 0 <= rate < float("inf")):
        raise InputError("keys: expected a duration above 0 and a rate of 0 (no limit) or more")
    now = (clock or SystemClock()).now()
    text = HEAD + secrets.token_urlsafe(32)
    made = Key(
        name=name,
        role=role,
        digest=digest_of(text),
        created=now,
        expires=None if days is None else now + int(days * DAY_MS),
        rate=rate,
    )
    path = _path(workspace)
    with closing(lock(path)):
        keys = read(path)
        if any(each.name == name for each in keys):
            raise ConflictError(
                f"keys: {name!r} exists; choose another name, or `polyscene keys revoke {name}`"
            )
        if len(keys) >= MOST_KEYS:
            raise InputError(f"keys: there are {MOST_KEYS} already; revoke those that nobody uses")
        _write(path, (*keys, made))
    return text


def revoke(workspace: Path, name: str) -> None:
    """Takes a key out of use; a running service refuses it within a second.

    Raises:
        NotFoundError: No key has this name, or there is no workspace.
    """
    path = _path(workspace)
    with closing(lock(path)):
        keys = read(path)
        if all(each.name != name for each in keys):
            raise NotFoundError(f"keys: no key {name!r}{nearest(name, [each.name for each in keys])}")
        _write(path, tuple(each for each in keys if each.name != name))


def listing(workspace: Path) -> tuple[Key, ...]:
    """Every key of a workspace, oldest first."""
    return read(_path(workspace))


def read(path: Path) -> tuple[Key, ...]:
    """The keys in a file; none where there is no file.

    Raises:
        StoreError: The file can't be read or was damaged.
    """
    with refused(path, "read"):
        if not path.exists():
            return ()
        text = path.read_bytes()
    try:
        return msgspec.json.decode(text, type=_File).keys
    except (msgspec.DecodeError, UnicodeDecodeError) as problem:
        raise StoreError(
            f"{path}: damaged ({problem}); put back a copy, or remove it and add keys"
        ) from problem


def find(keys: Sequence[Key], text: str) -> Key | None:
    """The key that `text` is; every key is compared in constant time, so the time tells nothing."""
    digest, found = digest_of(text), None
    for each in keys:
        if compare_digest(each.digest, digest):
            found = each
    return found


def digest_of(text: str) -> str:
    """What is kept of a key in its place."""
    return sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def _path(workspace: Path) -> Path:
    return Workspace.open(workspace).root / FILE


def _write(path: Path, keys: tuple[Key, ...]) -> None:
    content = msgspec.json.format(msgspec.json.encode(_File(format=1, keys=keys)), indent=2)
    with refused(path, "write"):
        replace_synced(path, content, mode=0o600)
