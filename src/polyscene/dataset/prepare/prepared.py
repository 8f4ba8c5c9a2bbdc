"""A prepared folder: histories as memory maps, ids, clean tables and the books, under one manifest."""

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import polars as pl

from polyscene.core.contracts import Data
from polyscene.core.errors import BundleError, ConfigError
from polyscene.dataset.catalogue import build_catalogue, build_people
from polyscene.dataset.clean import CleaningRules
from polyscene.dataset.codemap import CodeMap
from polyscene.dataset.encode import Encoded, edges_of
from polyscene.dataset.live import NEVER
from polyscene.dataset.sequences import open_sequences
from polyscene.dataset.tables import TableReport, Tables

FORMAT = 1
MANIFEST = "prepared.json"
HISTORIES, FIRST = "histories", "first"
"""Sequences: the histories, and the time of each item's first event as one list."""


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a prepared folder holds. `digest`: sha256 of histories, ids and names, equal for equal data.

    `only_touched`: items without an event have no code. `rules`: those that the events were cleaned by.
    """

    format: int
    name: str
    digest: str
    events: int
    users: int
    items: int
    bytes: int
    clock: bool
    at: int
    actions: tuple[str, ...]
    scenarios: tuple[str, ...]
    rules: CleaningRules
    only_touched: bool
    tables: dict[str, TableReport]
    notes: tuple[str, ...]


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a prepared folder.

    Raises:
        BundleError: It is missing, damaged, or of another format.
    """
    path = folder / MANIFEST
    try:
        raw = msgspec.json.decode(path.read_bytes())
        if isinstance(raw, dict) and raw.get("format") != FORMAT:
            raise BundleError(
                f"{path}: format {raw.get('format')}, this program reads {FORMAT}; prepare again"
            )
        return msgspec.convert(raw, Manifest)
    except (OSError, msgspec.DecodeError, msgspec.ValidationError) as problem:
        raise BundleError(f"{path}: can't be read ({problem}); prepare the source again") from problem


def is_prepared(source: str | Path) -> bool:
    """Whether a source is a prepared folder."""
    return (Path(source) / MANIFEST).is_file()


def open_prepared(folder: Path, *, verify: bool = False) -> Encoded:
    """The prepared data; histories stay on disk and come into memory as they are touched.

    `verify` also compares all digests.

    Raises:
        BundleError: Something is missing, cut short, changed, or of another format.
    """
    manifest = read_manifest(folder)
    histories = open_sequences(folder / HISTORIES, verify=verify)
    first = open_sequences(folder / FIRST, verify=verify)["time"]
    users, items = CodeMap.load(folder / "users.ids"), CodeMap.load(folder / "items.ids")
    if (len(users), len(items), len(first)) != (len(histories), manifest.items, manifest.items):
        raise BundleError(f"{folder}: ids and histories don't fit together; prepare the source again")
    data = Data(
        users=np.arange(len(users), dtype=np.int32),
        histories=histories,
        catalogue=build_catalogue(_table(folder, "items"), items, put_at=first),
        at=manifest.at,
        clock=manifest.clock,
        actions=manifest.actions,
        scenarios=manifest.scenarios,
        edges=edges_of(_table(folder, "edges"), items, users),
        people=build_people(_table(folder, "users"), users),
    )
    return Encoded(data, items, users)


def open_as(folder: Path, rules: CleaningRules, *, only_touched: bool) -> tuple[str, Encoded]:
    """Name and data of a folder that was prepared just so.

    Raises:
        ConfigError: It was prepared by other rules; the text names the command.
        BundleError: It is damaged.
    """
    manifest = read_manifest(folder)
    if (manifest.rules, manifest.only_touched) != (rules, only_touched):
        raise ConfigError(
            f"{folder}: was prepared for training or by rules of its own; evaluation drops repeats and "
            "ranks only items with events. Prepare the source again: "
            "polyscene data prepare SOURCE FOLDER --for evaluate"
        )
    return manifest.name, open_prepared(folder)


def open_small(folder: Path) -> tuple[Tables, dict[str, int]]:
    """The tables of a prepared folder without its events, and when each item was first touched."""
    manifest = read_manifest(folder)
    items, users, edges = (_table(folder, name) for name in ("items", "users", "edges"))
    ids, first = CodeMap.load(folder / "items.ids").ids, open_sequences(folder / FIRST)["time"]
    touched = {name: time for name, time in zip(ids, first.tolist(), strict=True) if time < NEVER}
    return Tables(manifest.name, pl.DataFrame(), items, users, edges, manifest.clock), touched


def event_pieces(encoded: Encoded, size: int) -> Iterator[pl.DataFrame]:
    """The events with outside ids, history by history, `size` rows at a time."""
    data = encoded.data
    names = {
        "user": encoded.users.ids,
        "item": encoded.items.ids,
        "action": data.actions,
        "scenario": data.scenarios,
    }
    words = {name: pl.Series(ids, dtype=pl.String) for name, ids in names.items()}
    columns, offsets = data.histories.columns, data.histories.offsets
    for start in range(0, int(offsets[-1]), size):
        end = min(start + size, int(offsets[-1]))
        piece = {name: np.array(column[start:end]) for name, column in columns.items()}
        piece["user"] = np.searchsorted(offsets, np.arange(start, end), side="right") - 1
        coded = {name: ids.gather(piece[name]) for name, ids in words.items()}
        yield pl.DataFrame({**piece, **coded})


def digest_of(*parts: Any) -> str:
    """Sha256 (hex) of what the parts say as JSON."""
    return sha256(msgspec.json.encode(parts)).hexdigest()


def _table(folder: Path, name: str) -> pl.DataFrame | None:
    path = folder / f"{name}.parquet"
    return pl.read_parquet(path) if path.exists() else None
