"""Catalogues from tables and from dated records."""

from collections.abc import Iterable

import numpy as np
import polars as pl

from polyscene.core.arrays import Array, Codes, Ragged, Times, offsets_of
from polyscene.core.catalogue import Catalogue, Column, ColumnType
from polyscene.core.contracts import NOBODY
from polyscene.dataset.codemap import CodeMap
from polyscene.dataset.live import NEVER, LiveCatalogue
from polyscene.dataset.schema import attribute_type
from polyscene.events.event import ItemPut

_FIELDS = frozenset({"item", "kind", "time"})


def build_catalogue(frame: pl.DataFrame | None, codes: CodeMap, *, put_at: Times) -> Catalogue:
    """The catalogue of a clean items table (``Tables.items``); None: nothing is known but the ids.

    `put_at` (I,): time of each item's first event, `NEVER` where it has none. An earlier ``time`` of the
    table counts instead; where neither tells, the item is known since ever (0). Rows of items without a
    code are left out, items without a row have missing attributes. Of two rows the last one stands.
    """
    size = len(codes)
    put_at = put_at.copy()
    kinds: Array = np.zeros(size, np.int16)
    kind_names: tuple[str, ...] = ("item",)
    columns: dict[str, Column] = {}
    if frame is not None:
        frame = frame.unique("item", keep="last", maintain_order=True)
        types = {name: attribute_type(frame[name]) for name in frame.columns if name not in _FIELDS}
        rows = codes.codes(frame["item"])
        frame, rows = frame.filter(pl.Series(rows >= 0)), rows[rows >= 0]
        if "time" in frame.columns:
            put_at[rows] = np.minimum(put_at[rows], frame["time"].fill_null(NEVER).to_numpy())
        kinds, kind_names = _kinds(frame, rows, size)
        columns = {name: _column(frame[name], kind, rows, size) for name, kind in types.items()}
    return Catalogue(np.where(put_at == NEVER, 0, put_at), np.ones(size, bool), kinds, kind_names, columns)


def build_people(frame: pl.DataFrame | None, codes: CodeMap) -> Catalogue:
    """What a clean users table (``Tables.users``) says of each user code; None: nothing."""
    if frame is None:
        return NOBODY
    attributes = frame.rename({"user": "item"}).drop("kind", "time", strict=False)
    return build_catalogue(attributes, codes, put_at=np.zeros(len(codes), np.int64))


def catalogue_as_of(puts: Iterable[tuple[int, ItemPut]], put_at: Times) -> LiveCatalogue:
    """The items as events and puts up to some time tell; goes on growing from there.

    `puts`: item code and record, in the order of the log. `put_at` (I,): time of each item's first event,
    `NEVER` where it has none. A code neither put nor seen is not active.
    """
    live = LiveCatalogue()
    live.reach(len(put_at))
    seen = np.flatnonzero(put_at < NEVER)
    live.touch(seen.astype(np.int32), put_at[seen])
    for code, record in puts:
        live.put(code, record)
    return live


def _kinds(frame: pl.DataFrame, rows: Codes, size: int) -> tuple[Array, tuple[str, ...]]:
    kinds = np.zeros(size, np.int16)
    if "kind" not in frame.columns:
        return kinds, ("item",)
    others = sorted(set(frame["kind"].drop_nulls().unique().to_list()) - {"item"})
    names = ("item", *others)
    kinds[rows] = _places(frame["kind"].fill_null("item"), names)
    return kinds, names


def _column(values: pl.Series, kind: ColumnType, rows: Codes, size: int) -> Column:
    if kind == "tags":
        return _tags(values, rows, size)
    if kind == "number":
        numbers = np.full(size, np.nan)
        numbers[rows] = values.cast(pl.Float64).fill_null(np.nan).to_numpy()
        return Column("number", numbers)
    if kind == "text":
        texts = np.full(size, "", object)
        texts[rows] = values.fill_null("").to_list()
        return Column("text", texts)
    words = tuple(sorted(word for word in values.drop_nulls().unique().to_list() if word))
    places = np.full(size, -1, np.int32)
    places[rows] = _places(values.fill_null(""), words)
    return Column("category", places, words)


def _tags(values: pl.Series, rows: Codes, size: int) -> Column:
    lists = values.cast(pl.List(pl.String)).list.drop_nulls().list.unique(maintain_order=True).fill_null([])
    flat = lists.explode().drop_nulls()
    words = tuple(sorted(flat.unique().to_list()))
    lengths = np.zeros(size, np.int64)
    lengths[rows] = lists.list.len().to_numpy()
    packed = Ragged(offsets_of(lists.list.len().to_numpy()), _places(flat, words))
    order = np.argsort(rows)
    return Column("tags", Ragged(offsets_of(lengths), packed.take(order).values), words)


def _places(values: pl.Series, words: tuple[str, ...]) -> Codes:
    if not words:
        return np.full(len(values), -1, np.int32)
    places = pl.Series(range(len(words)), dtype=pl.Int32)
    found = values.replace_strict(pl.Series(words), places, default=-1, return_dtype=pl.Int32)
    return found.to_numpy()
