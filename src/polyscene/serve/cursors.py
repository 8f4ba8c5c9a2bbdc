"""Cursors: where a list goes on, as a text that clients hand back unread."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import TypeVar

import msgspec

from polyscene.serve.problems import RequestError

T = TypeVar("T")


def cursor_of(place: object) -> str:
    """A place in a list as a cursor."""
    return urlsafe_b64encode(msgspec.msgpack.encode(place)).decode().rstrip("=")


def place_of(cursor: str, shape: type[T]) -> T:
    """The place in a cursor.

    Raises:
        RequestError: 422; this list gave no such cursor.
    """
    try:
        raw = urlsafe_b64decode(cursor.encode() + b"=" * (-len(cursor) % 4))
        return msgspec.msgpack.decode(raw, type=shape)
    except (ValueError, msgspec.MsgspecError) as error:
        raise RequestError(
            422,
            "query: cursor: not one of this list; hand back what the reply before said, or leave it out",
        ) from error
