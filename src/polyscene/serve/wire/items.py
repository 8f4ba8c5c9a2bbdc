"""Items."""

from typing import Annotated, Any, Literal

import msgspec

from polyscene.serve.wire.base import Attributes, Cursor, Id, Moment, Name, Strict


class ItemBody(Strict, frozen=True, kw_only=True):
    """All that is known of an item from `time` (default now) on."""

    kind: Name = "item"
    attributes: Attributes = {}
    time: Moment | None = None


class ItemPatch(Strict, frozen=True, kw_only=True):
    """What changes from `time` (default now) on: the attributes named; null takes one away."""

    attributes: Attributes
    time: Moment | None = None


class ItemLine(Strict, frozen=True, kw_only=True):
    """One line of a bulk: an item to put, to patch (only what is named changes) or to delete."""

    id: Id
    op: Literal["put", "patch", "delete"] = "put"
    kind: Name = "item"
    attributes: Attributes = {}
    time: Moment | None = None


class ItemsParams(Strict, frozen=True, kw_only=True):
    """A search by words of the title, items by id, or neither: all items, page by page.

    The list holds items that may be shown, with `deleted` the others too.
    """

    query: Annotated[str, msgspec.Meta(max_length=200)] | None = None
    id: Annotated[list[Id], msgspec.Meta(max_length=200)] = msgspec.field(default_factory=list)
    n: Annotated[int, msgspec.Meta(ge=1, le=200)] = 20
    cursor: Cursor | None = None
    deleted: bool = False


class Items(msgspec.Struct, frozen=True, kw_only=True):
    """Items with what is known of each; `missing` are ids nobody ever put or saw.

    `cursor` leads to the next page of a list; None at its end.
    """

    items: list[dict[str, Any]]
    missing: list[str] = []
    cursor: str | None = None
