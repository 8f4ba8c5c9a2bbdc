"""Edges: friends, follows, parts, citations; whatever stands in a relation to something."""

from typing import Annotated, Literal

import msgspec

from polyscene.serve.wire.base import Cursor, Id, Moment, Name, Number, Strict


class EdgeKey(Strict, frozen=True, kw_only=True):
    """Names one edge; its ends are ids of items, of users, or of other things of a graph."""

    source: Id
    relation: Name
    target: Id


class EdgeBody(Strict, frozen=True, kw_only=True):
    """What an edge weighs from `time` (default now) on."""

    weight: Number = 1.0
    time: Moment | None = None


class EdgePatch(Strict, frozen=True, kw_only=True):
    """Another weight for an edge that is there."""

    weight: Number
    time: Moment | None = None


class EdgeLine(Strict, frozen=True, kw_only=True):
    """One line of a bulk: an edge to put or to delete."""

    source: Id
    relation: Name
    target: Id
    op: Literal["put", "delete"] = "put"
    weight: Number = 1.0
    time: Moment | None = None


class EdgesParams(Strict, frozen=True, kw_only=True):
    """Which edges to list; what is left out matches all."""

    source: Id | None = None
    relation: Name | None = None
    target: Id | None = None
    n: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 100
    cursor: Cursor | None = None


class Edge(msgspec.Struct, frozen=True, kw_only=True):
    """An edge that holds since `time`."""

    source: str
    relation: str
    target: str
    weight: float
    time: int


class Edges(msgspec.Struct, frozen=True, kw_only=True):
    """Edges by source, relation and target; `cursor` leads to the next page, None at the end."""

    edges: list[Edge]
    cursor: str | None = None
