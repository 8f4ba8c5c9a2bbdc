"""Shapes of `/v1/session`."""

from typing import Annotated, Literal

import msgspec

from polyscene.serve.wire.base import Strict


class SessionBody(Strict, frozen=True, kw_only=True):
    """A key, to sign in with."""

    key: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class SessionReply(msgspec.Struct, frozen=True, kw_only=True):
    """Who a browser acts for.

    `keys`: whether the service asks for keys at all; without, everybody is an administrator. `role` None:
    not signed in. `csrf` goes into the header ``X-CSRF-Token`` of every request that is no GET.
    `expires`: when the session ends at the latest, UTC ms.
    """

    keys: bool
    role: Literal["read", "write", "admin"] | None = None
    name: str | None = None
    csrf: str | None = None
    expires: int | None = None
