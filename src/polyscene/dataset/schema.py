"""What each table may hold: fields, types, units, allowed values, and the names they go by elsewhere."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import polars as pl

from polyscene.core.catalogue import ColumnType

TableName = Literal["events", "items", "users", "edges", "links"]
FieldType = Literal["id", "word", "number", "time"]


@dataclass(frozen=True, slots=True)
class Field:
    """One column of a clean table.

    `aliases`: names it often has in sources, strongest tier first; two columns in one tier are ambiguous.
    Names are compared without case, spaces and punctuation (``movieId`` = ``movie_id``).
    """

    name: str
    type: FieldType
    allowed: str
    aliases: tuple[tuple[str, ...], ...] = ()
    required: bool = False
    unit: str = ""


_ID = "a text of 1 to 512 characters without control characters; numbers are read as their digits"
_USER = (
    ("user", "userid"),
    ("uid", "customerid", "customer", "visitorid", "reviewerid", "accountid", "memberid", "username"),
    ("sessionid", "session", "basketid", "playlistid"),
)
_ITEM = (
    ("item", "itemid"),
    (
        *(
            "movieid",
            "productid",
            "bookid",
            "articleid",
            "newsid",
            "trackid",
            "songid",
            "videoid",
            "artistid",
        ),
        *(
            "gameid",
            "storyid",
            "contentid",
            "docid",
            "iid",
            "sku",
            "isbn",
            "asin",
            "parentasin",
            "productasin",
        ),
    ),
    ("movie", "product", "book", "article", "track", "song", "video", "artist", "game"),
)
POSITIONS = ("position", "pos", "sequence", "seq", "step", "basketno")
"""Names (folded) of columns that tell an order but no clock."""
_TIME = (
    ("time", "timestamp", "ts"),
    ("datetime", "eventtime", "createdat", "unixtime", "unixreviewtime", "date"),
    POSITIONS,
)

SCHEMA: Mapping[TableName, tuple[Field, ...]] = {
    "events": (
        Field("user", "id", _ID, _USER, required=True),
        Field("item", "id", _ID, _ITEM, required=True),
        Field(
            "action",
            "word",
            "what the user did; 'interaction' when the source does not say",
            (("action", "event"), ("eventtype", "actiontype", "behavior", "behaviour", "behaviortype")),
        ),
        Field(
            "value",
            "number",
            "finite; a rating within its scale, a weight, or 1",
            (
                ("value", "rating", "weight"),
                ("stars", "score", "overall", "strength"),
                ("count", "hours", "plays", "quantity", "click", "isclick"),
            ),
        ),
        Field("time", "time", "from 1990 to a day from now; or a position, 0 and up", _TIME, unit="UTC ms"),
        Field("scenario", "word", "where it happened; '' when unknown", (("scenario",), ("placement",))),
    ),
    "items": (
        Field("item", "id", _ID, _ITEM, required=True),
        Field("kind", "word", "what it is: movie, song, person; 'item' when unknown", (("kind",),)),
        Field("time", "time", "when it was first put", (("time", "putat"), ("createdat",)), unit="UTC ms"),
    ),
    "users": (Field("user", "id", _ID, _USER, required=True),),
    "edges": (
        Field(
            "source",
            "id",
            _ID,
            (
                ("source", "src"),
                ("head", "headid", "from", "trusterid"),
                ("userid", "user", "itemid", "item"),
            ),
            required=True,
        ),
        Field("relation", "word", "what links them; 'linked' when unknown", (("relation", "relationid"),)),
        Field(
            "target",
            "id",
            _ID,
            (
                ("target", "dst", "destination"),
                ("tail", "tailid", "to", "trusteeid"),
                ("friendid", "citeditemid", "entityid", "entity"),
            ),
            required=True,
        ),
        Field("weight", "number", "finite; 1 when unknown", (("weight", "value"), ("count",))),
    ),
    "links": (
        Field("item", "id", _ID, _ITEM, required=True),
        Field("entity", "id", _ID, (("entity", "entityid"),), required=True),
    ),
}

HEADS = ("head", "headid")
"""Names (folded) of a source column that make edges triples of a knowledge graph, about entities."""
TEXTS = frozenset(
    ("title", "name", "description", "text", "plot", "overview", "summary", "abstract", "headline", "body")
)
"""Attributes that are prose, whatever their values look like."""
TAGS = frozenset(("genres", "genre", "tags", "categories", "keywords", "labels", "attributes", "class"))
"""Attributes that list words when their values hold a separator."""
TITLES = ("name", "movietitle", "producttitle", "originaltitle", "headline")
"""Names (folded) under which a title goes when no attribute is called ``title``."""
DISTINCT_WORDS = 0.5
"""A text attribute with fewer distinct values per value than this is a category."""


def fold(name: str) -> str:
    """The name without case, spaces and punctuation."""
    return "".join(letter for letter in name.lower() if letter.isalnum())


def field_names(table: TableName) -> tuple[str, ...]:
    """The fields of a table, in order."""
    return tuple(field.name for field in SCHEMA[table])


def attribute_type(values: pl.Series) -> ColumnType:
    """How an attribute column is to be understood, from its name and values.

    Numbers and truths are ``number``, lists ``tags``; a String is ``text`` when its name says so or
    when at least half of its values are distinct, else ``category``.
    """
    if isinstance(values.dtype, pl.List):
        return "tags"
    if values.dtype != pl.String:
        return "number"
    if fold(values.name) in TEXTS:
        return "text"
    present = values.drop_nulls()
    return "text" if len(present) and present.n_unique() >= DISTINCT_WORDS * len(present) else "category"


def describe() -> str:
    """The whole schema as text: a line per field with its type, unit and allowed values."""
    lines: list[str] = []
    for table, fields in SCHEMA.items():
        lines.append(table)
        for field in fields:
            need = "required" if field.required else "optional"
            unit = f" in {field.unit}" if field.unit else ""
            lines.append(f"  {field.name:<9} {field.type}{unit}, {need}: {field.allowed}")
    lines.append("other columns of items and users are attributes: number, category, tags or text")
    return "\n".join(lines)
