"""Asks in, slates out."""

from typing import Annotated

import msgspec

from polyscene.scenario.ask import Answer
from polyscene.serve.wire.base import Id, Moment, Name, Number, Strict


class PastBody(Strict, frozen=True, kw_only=True):
    """One act of an anonymous visitor."""

    item: Id
    action: Name = "interaction"
    value: Number = 1.0
    time: Moment | None = None


class Context(Strict, frozen=True, kw_only=True):
    """Where the ask comes from: `anchors` are the items on the page, in the cart or in the playlist."""

    anchors: Annotated[list[Id], msgspec.Meta(max_length=200)] = []


class RecommendBody(Strict, frozen=True, kw_only=True):
    """One ask for a slate, for a `user` or for a visitor with a `history` (oldest first)."""

    scenario: Name
    user: Id | None = None
    history: Annotated[list[PastBody], msgspec.Meta(max_length=1000)] | None = None
    k: Annotated[int, msgspec.Meta(ge=1, le=1000)] | None = None
    context: Context = Context()
    filter: Annotated[str, msgspec.Meta(max_length=2000)] | None = None
    exclude: Annotated[list[Id], msgspec.Meta(max_length=1000)] = []
    request_id: Id | None = None


class Replay(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a logged request given again; `equal` up to 1e-5 in score."""

    equal: bool
    answer: Answer
