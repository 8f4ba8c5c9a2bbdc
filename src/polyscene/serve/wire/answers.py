"""Asks in, slates out."""

from typing import Annotated

import msgspec

from polyscene.scenario.ask import Answer
from polyscene.serve.wire.base import PLAIN, Cursor, Id, Moment, Name, Number, Strict

K = Annotated[int, msgspec.Meta(ge=1, le=1000)]
Filter = Annotated[str, msgspec.Meta(max_length=2000)]
Exclude = Annotated[list[Id], msgspec.Meta(max_length=1000)]
Word = Annotated[str, msgspec.Meta(max_length=512, pattern=PLAIN)]
Anchors = Annotated[list[Id], msgspec.Meta(max_length=200)]
PageId = Annotated[str, msgspec.Meta(min_length=1, max_length=500, pattern=PLAIN)]
Context = Annotated[
    dict[Name, Word | Number | Anchors],
    msgspec.Meta(
        max_length=50,
        description="Where the ask comes from. anchors: ids of the items on the page, in the cart or in "
        "the playlist; region: counts for availability; device, place and others are handed to the stages.",
    ),
]


class PastBody(Strict, frozen=True, kw_only=True):
    """One act of an anonymous visitor."""

    item: Id
    action: Name = "interaction"
    value: Number = 1.0
    time: Moment | None = None


History = Annotated[list[PastBody], msgspec.Meta(max_length=1000)]


class RecommendBody(Strict, frozen=True, kw_only=True):
    """One ask for a slate, for a `user` or for a visitor with a `history` (oldest first).

    `cursor`, from the reply before, asks for the next items: none that this scroll has shown comes again.
    """

    scenario: Name
    user: Id | None = None
    history: History | None = None
    k: K | None = None
    context: Context = {}
    filter: Filter | None = None
    exclude: Exclude = []
    request_id: Id | None = None
    cursor: Cursor | None = None


class SimilarBody(Strict, frozen=True, kw_only=True):
    """Items like `item`, for whoever looks at it; `scenario` must be one that works from anchors."""

    item: Id
    scenario: Name | None = None
    user: Id | None = None
    k: K | None = None
    context: Context = {}
    filter: Filter | None = None
    exclude: Exclude = []
    request_id: Id | None = None
    cursor: Cursor | None = None


class PopularBody(Strict, frozen=True, kw_only=True):
    """What most people like; without what `user` has seen, where one is named."""

    scenario: Name = "popular"
    user: Id | None = None
    k: K | None = None
    context: Context = {}
    filter: Filter | None = None
    exclude: Exclude = []
    request_id: Id | None = None
    cursor: Cursor | None = None


class RowBody(Strict, frozen=True, kw_only=True):
    """One row of a page."""

    scenario: Name
    k: Annotated[int, msgspec.Meta(ge=1, le=100)] | None = None
    context: Context = {}
    filter: Filter | None = None


class PageBody(Strict, frozen=True, kw_only=True):
    """Several slates at once; no item comes twice, and the earlier row has the first choice."""

    rows: Annotated[list[RowBody], msgspec.Meta(min_length=1, max_length=20)]
    user: Id | None = None
    history: History | None = None
    exclude: Exclude = []
    request_id: PageId | None = None


class Replay(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a logged request given again; `equal` up to 1e-5 in score."""

    equal: bool
    answer: Answer
