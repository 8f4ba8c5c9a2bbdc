"""Users."""

from typing import Any

import msgspec


class Users(msgspec.Struct, frozen=True, kw_only=True):
    """Ids of some users."""

    users: list[str]


class History(msgspec.Struct, frozen=True, kw_only=True):
    """The newest events of a user, newest first."""

    user: str
    events: list[dict[str, Any]]
