"""Splits of the data into what a model may learn from and what it is asked."""

from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Literal

import msgspec
import numpy as np

from polyscene.core.arrays import Array, Bools, Codes, Ragged, RaggedTable, Seeds, offsets_of, spans
from polyscene.core.contracts import Data, Holdout
from polyscene.core.errors import DataError, nearest
from polyscene.core.queries import Eligible, Queries
from polyscene.core.seeds import seed_of
from polyscene.dataset.codemap import CodeMap
from polyscene.dataset.encode import Encoded
from polyscene.dataset.protocols import PROTOCOLS, Asked, Keys, Parts

Protocol = Literal[
    "loo", "time", "strong", "random", "random20", "random25", "recbole", "cold", "cold_trained"
]
WANTED = 10
"""Places that a held-out query asks for; who needs more says ``queries.wanting(n)``."""


@dataclass(frozen=True, slots=True)
class Split:
    """One protocol applied to the data.

    `fit_all` is `train` plus the validation part. `digest`: sha256 of the split's content, in hex, so
    that two figures can be known to stand on the same split.
    """

    protocol: str
    train: Data
    fit_all: Data
    valid: Holdout
    test: Holdout
    digest: str


def split(
    data: Data,
    protocol: Protocol,
    *,
    seed: int = 0,
    ids: Encoded | None = None,
    min_events: int = 1,
    repeats: Literal["drop", "keep"] = "drop",
) -> Split:
    """The data under one of the protocols of `PROTOCOLS`.

    Args:
        data: Everything there is, in the order of time.
        protocol: ``loo`` (last event), ``time`` (one moment for all), ``strong`` (new users), ``random``
            (a tenth of each user), ``random20``, ``random25`` (a fifth, a quarter), ``recbole`` (a tenth,
            as RecBole draws it), ``cold`` (new items), ``cold_trained`` (what ``cold`` asks, these
            items once learned from).
        seed: Draws the users, rows and items of those that draw; ``loo`` and ``time`` draw nothing.
        ids: The ids behind the codes. With them, what is drawn and the digest depend on ids alone, so
            they are the same whatever codes a workspace gave; without them they depend on codes.
        min_events: Users with fewer events (after `repeats`) are left out.
        repeats: ``drop`` keeps a user's first event with an item, and seen items are not asked for again;
            ``keep`` keeps all, and nothing is excluded from the answers.

    Raises:
        DataError: ``time`` on data without a clock, an unknown protocol, or nobody left to ask.
    """
    if protocol not in PROTOCOLS:
        raise DataError(f"split: unknown protocol {protocol!r}{nearest(protocol, PROTOCOLS)}")
    if protocol == "time" and not data.clock:
        raise DataError(
            "split: protocol 'time' needs timestamps, but this data has an order and no clock; use 'loo', "
            "'strong' or 'random', or map a column of real times (--map time=COLUMN)"
        )
    data = _eligible(data, min_events, repeats == "drop")
    keys = Keys(
        _seeds(data.users, seed, ids.users if ids else None),
        _seeds(np.arange(data.size, dtype=np.int32), seed, ids.items if ids else None),
    )
    parts = PROTOCOLS[protocol](data.histories, keys)
    if not parts.test.targets.any():
        raise DataError(f"split: protocol {protocol!r} leaves no user to ask; the data is too small for it")
    return Split(
        protocol,
        train=_training(data, parts.train, parts.valid.at),
        fit_all=_training(data, parts.fit, parts.test.at),
        valid=_holdout(data, parts.valid, keys.users, repeats == "drop"),
        test=_holdout(data, parts.test, keys.users, repeats == "drop"),
        digest=_digest(data, protocol, parts, ids),
    )


def _eligible(data: Data, min_events: int, first_only: bool) -> Data:
    histories, users = data.histories, data.users
    if first_only:
        histories = histories.where(_firsts(histories, data.size))
    kept = np.flatnonzero(histories.lengths >= max(1, min_events))
    if len(kept) < len(users):
        histories, users = histories.take(kept), users[kept]
    if not len(users):
        raise DataError(f"split: no user has {min_events} events; lower min_events or bring more data")
    return replace(data, histories=histories, users=users)


def _firsts(histories: RaggedTable, size: int) -> Bools:
    """(N,) True for the first row of each user's item."""
    keys = histories.rows() * size + histories["item"]
    first = np.zeros(len(keys), bool)
    first[np.unique(keys, return_index=True)[1]] = True
    return first


def _seeds(codes: Codes, seed: int, ids: CodeMap | None) -> Seeds:
    """(N,) what each user's or item's chance is drawn from."""
    names = map(str, codes.tolist()) if ids is None else ids.ids_of(codes)
    return np.array([seed_of(name, f"split {seed}") for name in names], np.uint64)


def _training(data: Data, rows: Bools, at: int | None) -> Data:
    histories = data.histories.where(rows)
    kept = np.flatnonzero(histories.lengths)
    at = int(histories["time"].max(initial=-1)) + 1 if at is None else at
    put_at = data.catalogue.put_at
    return replace(
        data,
        users=data.users[kept],
        histories=RaggedTable(offsets_of(histories.lengths[kept]), histories.columns),
        catalogue=replace(data.catalogue, put_at=np.where(put_at < at, put_at, 0)),
        at=at,
        examples=None,
    )


def _holdout(data: Data, asked: Asked, keys: Seeds, drop_seen: bool) -> Holdout:
    table = data.histories
    users = np.flatnonzero(np.bincount(table.rows()[asked.targets], minlength=len(table)))
    wanted = np.repeat(np.isin(np.arange(len(table)), users), table.lengths)
    targets = _only(table.where(asked.targets), users)
    history = _only(table.where(asked.history & wanted), users)
    seen = history if asked.seen is None else _only(table.where(asked.seen & wanted), users)
    ranked = data.catalogue.active.copy()
    ranked[asked.barred] = False
    count = len(users)
    at = targets["time"][targets.offsets[:-1]] if asked.at is None else np.full(count, asked.at, np.int64)
    queries = Queries(
        at=at,
        users=data.users[users],
        scenario=targets["scenario"][targets.offsets[:-1]].astype(np.int32),
        history=history,
        wanted=np.full(count, WANTED, np.int32),
        exclude=seen.ragged("item") if drop_seen else Ragged.empty(count),
        allowed=Eligible(ranked[None, :], np.zeros(count, np.int64)),
        seeds=keys[users],
    )
    return Holdout(queries, targets.ragged("item"), targets.ragged("value"))


def _only(table: RaggedTable, lists: Array) -> RaggedTable:
    """The given lists of a table whose other lists are empty; nothing is copied."""
    return RaggedTable(offsets_of(table.lengths[lists]), table.columns)


def _digest(data: Data, protocol: str, parts: Parts, ids: Encoded | None) -> str:
    """Sha256 over every row and its parts, users and items in the order of their ids."""
    content = sha256(f"polyscene split 1 {protocol} {ids is not None}".encode())
    items, item_names = _ranked(data.histories["item"], ids.items if ids else None)
    users, user_names = _ranked(data.users, ids.users if ids else None)
    order = np.argsort(users)
    lengths = data.histories.lengths[order]
    rows = spans(data.histories.offsets[:-1][order], lengths)
    for names in (user_names, item_names):
        content.update(msgspec.json.encode(names))
    histories = data.histories
    columns = (lengths, items[rows], histories["time"][rows], histories["value"][rows].astype("<f4"))
    for column in columns:
        content.update(np.ascontiguousarray(column, column.dtype.newbyteorder("<")).data)
    asked = (parts.valid.history, parts.valid.targets, parts.test.history, parts.test.targets)
    for role in (parts.train, parts.fit, *asked):
        content.update(np.packbits(role[rows]).data)
    return content.hexdigest()


def _ranked(codes: Codes, names: CodeMap | None) -> tuple[Array, list[str]]:
    """Each code as its place among those that occur, by id (else by code), and the ids in that order."""
    distinct, place = np.unique(codes, return_inverse=True)
    if names is None:
        return distinct[place].astype(np.int64), []
    ids = names.ids_of(distinct)
    order = sorted(range(len(ids)), key=ids.__getitem__)
    rank = np.empty(len(ids), np.int64)
    rank[order] = np.arange(len(ids))
    return rank[place], [ids[each] for each in order]
