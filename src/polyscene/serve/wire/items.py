"""Items."""

from typing import Annotated, Any

import msgspec

from polyscene.serve.wire.base import Attributes, Id, Moment, Name, Strict


class ItemBody(Strict, frozen=True, kw_only=True):
    """What is known of an item from `time` (default now) on; a `patch` changes only what it names."""

    kind: Name = "item"
    attributes: Attributes = {}
    time: Moment | None = None
    patch: bool = False


class ItemsParams(Strict, frozen=True, kw_only=True):
    """A search by words of the title, or items by id."""

    query: Annotated[str, msgspec.Meta(max_length=200)] | None = None
    id: Annotated[list[Id], msgspec.Meta(max_length=200)] = msgspec.field(default_factory=list)
    n: Annotated[int, msgspec.Meta(ge=1, le=200)] = 20


class Items(msgspec.Struct, frozen=True, kw_only=True):
    """Items with what is known of each; `missing` are ids nobody ever put or saw."""

    items: list[dict[str, Any]]
    missing: list[str] = []
