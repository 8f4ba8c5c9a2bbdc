"""Users."""

from typing import Annotated, Any, Literal

import msgspec

from polyscene.serve.wire.base import Attributes, Cursor, Id, Moment, Strict


class UserBody(Strict, frozen=True, kw_only=True):
    """What is known of a user from `time` (default now) on: all of it, or by PATCH what changes."""

    attributes: Attributes
    time: Moment | None = None


class UserLine(Strict, frozen=True, kw_only=True):
    """One line of a bulk: a user to put, or to patch (only what is named changes; null takes away)."""

    id: Id
    op: Literal["put", "patch"] = "put"
    attributes: Attributes = {}
    time: Moment | None = None


class MergeBody(Strict, frozen=True, kw_only=True):
    """Who becomes this user: the id of a guest, whose past and future count as the user's."""

    guest: Id = msgspec.field(name="from")
    time: Moment | None = None


class UsersParams(Strict, frozen=True, kw_only=True):
    """How many to list, from where; or a `sample` spread over all."""

    n: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 20
    cursor: Cursor | None = None
    sample: bool = False


class Users(msgspec.Struct, frozen=True, kw_only=True):
    """Ids of users; `cursor` leads to the next page of the list, None at its end."""

    users: list[str]
    cursor: str | None = None


class UserFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a user; `first` and `last` are the times of its `events` (impressions don't count).

    A guest `answers_as` the user that it was merged into, and all else is told of that user.
    """

    id: str
    answers_as: str
    guests: list[str]
    attributes: dict[str, Any]
    events: int
    first: int | None
    last: int | None


class Erased(msgspec.Struct, frozen=True, kw_only=True):
    """How many rows were deleted of a user and its guests; `puts` are attributes, edges and merges."""

    events: int
    puts: int
    exposures: int
    position: int
    notes: list[str] = []


class History(msgspec.Struct, frozen=True, kw_only=True):
    """The newest events of a user, newest first."""

    user: str
    events: list[dict[str, Any]]
