"""Endless scrolling: a cursor names the answer that it goes on from, and that answer is in the log."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import blake2b

import msgspec

from polyscene.core.errors import InputError
from polyscene.events.event import Exposure
from polyscene.scenario.ask import Answer, Ask

LONGEST = 2_000
"""Items after which a scroll ends: its cursor is then empty, as at the end of what there is."""
_SUM = 6


def cursor_of(ask: Ask, answer: Answer) -> str:
    """What asks for the items after these; empty where nothing can follow."""
    wanted_more = bool(answer.items) and (ask.k is None or len(answer.items) >= ask.k)
    if not wanted_more or len(ask.exclude) + len(answer.items) >= LONGEST:
        return ""
    name = answer.request_id.encode()
    return urlsafe_b64encode(_sum(name) + name).decode().rstrip("=")


def request_of(cursor: str) -> str:
    """The request that a cursor goes on from.

    Raises:
        InputError: It is none that was given out, or was changed on the way.
    """
    try:
        raw = urlsafe_b64decode(cursor.encode() + b"=" * (-len(cursor) % 4))
        name = raw[_SUM:].decode()
    except ValueError:
        raw, name = b"", ""
    if raw[:_SUM] != _sum(name.encode()) or not name:
        raise InputError(f"recommend: cursor {cursor[:40]!r} was not given out here; send it as it came")
    return name


def onward(ask: Ask, before: Exposure) -> Ask:
    """The ask with all that its scroll has shown so far excluded.

    The cursor says nothing of who asks, so it is good for the same scenario and user only.

    Raises:
        InputError: Another scenario or user, or the scroll had ended.
    """
    earlier = msgspec.convert(before.ask, Ask)
    for what, now, then in (
        ("scenario", ask.scenario, earlier.scenario),
        ("user", ask.user, earlier.user),
    ):
        if now != then:
            raise InputError(
                f"recommend: the cursor belongs to {what} {then!r}, this ask is for {now!r}; "
                "start another scroll without a cursor"
            )
    exclude = list(dict.fromkeys([*earlier.exclude, *before.items, *ask.exclude]))
    if len(exclude) >= LONGEST:
        raise InputError(f"recommend: a scroll ends after {LONGEST} items; start anew without a cursor")
    return msgspec.structs.replace(ask, exclude=exclude)


def _sum(name: bytes) -> bytes:
    """Tells a cursor from any other text; it keeps no secret, because a cursor opens nothing."""
    return blake2b(name, digest_size=_SUM, person=b"cursor").digest()
