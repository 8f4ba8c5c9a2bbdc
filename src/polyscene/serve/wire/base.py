"""Words that all shapes share: ids, names, times, numbers, attributes, with their bounds."""

from typing import Annotated

import msgspec

PLAIN = r"^(?![\s\S]*[\x00-\x1f\x7f])"
"""Holds for a text without control characters; the same in Python and in a browser."""

Id = Annotated[str, msgspec.Meta(min_length=1, max_length=512, pattern=PLAIN)]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=128, pattern=PLAIN)]
Moment = Annotated[
    int, msgspec.Meta(ge=0, le=253_402_300_799_999, description="UTC milliseconds since 1970")
]
Number = Annotated[float, msgspec.Meta(ge=-1e15, le=1e15)]
Cursor = Annotated[str, msgspec.Meta(max_length=4_096, description="From the reply before")]
Text = Annotated[str, msgspec.Meta(max_length=10_000)]
Label = Annotated[str, msgspec.Meta(max_length=512)]
Tags = Annotated[list[Label], msgspec.Meta(max_length=200)]
Attributes = Annotated[dict[Name, bool | Number | Text | Tags | None], msgspec.Meta(max_length=100)]


class Strict(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Root of query strings and of bodies: frozen, by keyword, unknown fields refused."""


class Count(Strict, frozen=True, kw_only=True):
    """How many to list."""

    n: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 20
