"""Clean tables with outside ids, and the account of what cleaning did to them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl


@dataclass(frozen=True, slots=True)
class TableReport:
    """What happened to the rows of one table.

    ``rows_in == rows_out + sum(removed.values())`` always holds. `removed`, `changed` and `noticed` count
    rows by reason: taken out, corrected, and left alone although odd. `source` names the file.
    """

    source: str
    rows_in: int
    rows_out: int
    removed: Mapping[str, int] = field(default_factory=dict)
    changed: Mapping[str, int] = field(default_factory=dict)
    noticed: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CleaningReport:
    """What cleaning did, by table (``"events"``, ``"items"``, ``"users"``, ``"edges"``).

    `notes`: plain sentences on what was guessed or detected (columns, time unit, rating scale).
    `quarantine`: the file that holds every removed row with its cause; None when none was asked for.
    """

    tables: Mapping[str, TableReport] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    quarantine: Path | None = None


@dataclass(frozen=True, slots=True)
class Tables:
    """Clean tables; ids are the outside texts, nothing is coded yet.

    `events`: user, item, action (``"interaction"`` if the source names none), value (float32: rating,
    weight or 1.0), time (int64 UTC ms; the position where `clock` is False), scenario (``""``), row
    (int64, 0-based row in the raw file). Rows stand in raw file order, so a stable sort by time breaks
    ties as the file does.

    `items`: item, kind (``"item"`` if none), optional time, and attributes: numbers float64, categories
    and texts String, tags List(String), truths Boolean. `users`: user and attributes. `edges`: source,
    relation, target, weight (float32). The last three are None when the source has no such table.
    """

    name: str
    events: pl.DataFrame
    items: pl.DataFrame | None = None
    users: pl.DataFrame | None = None
    edges: pl.DataFrame | None = None
    clock: bool = True
    report: CleaningReport = field(default_factory=CleaningReport)
