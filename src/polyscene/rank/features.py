"""What the linear ranker looks at: one definition for training and for serving."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from polyscene.core.arrays import Array, Codes, Floats, Ragged
from polyscene.core.catalogue import Catalogue
from polyscene.core.clock import DAY_MS
from polyscene.core.errors import ConfigError
from polyscene.core.queries import Queries
from polyscene.core.slates import Slates
from polyscene.features.attributes import attribute_vectors
from polyscene.features.convert import Conversion

CLIP = 5.0
"""Standard deviations at which scores are cut off."""
RECENT = 20
"""Newest history items that the overlap is taken with."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What the features need besides query and slate.

    Shapes: `popularity` (n,) log(1 + interactions) as of the fit; codes above n count 0. `attributes`:
    how numbers of the catalogue are scaled, as of the fit.
    """

    sources: tuple[str, ...]
    popularity: Floats
    catalogue: Catalogue
    attributes: Conversion


def names(sources: Sequence[str], attributes: Iterable[str]) -> list[str]:
    """The names of the F features, in order."""
    each = [f"{name}:{source}" for source in sources for name in ("brought", "place", "score", "near")]
    return [*each, "popularity", "age", "overlap", *(f"attribute:{name}" for name in attributes)]


def features(queries: Queries, slates: Slates, facts: Facts) -> Floats:
    """(N, F) one row per candidate; 0 stands for what is missing.

    Per source: did it bring the item; 1 / log2(2 + rank); its score in standard deviations from the mean
    of this slate; how near that is to the best. Then log popularity, log days since the item was put, the
    likeness of its attributes to the history, and the numbers that the ranker's config asks for.
    """
    rows = slates.rows()
    columns: list[Array] = []
    for source in facts.sources:
        columns += _evidence(slates, rows, source)
    columns.append(_popularity(slates, facts.popularity))
    columns.append(_age(queries, slates, rows, facts.catalogue))
    columns.append(_overlap(queries, slates, rows, facts.catalogue))
    if facts.attributes.plan:
        columns += facts.attributes(numbers(facts.catalogue, facts.attributes.plan, slates.items)).values()
    return np.stack(columns, axis=1).astype(np.float32)


def numbers(catalogue: Catalogue, wanted: Iterable[str], items: Codes) -> dict[str, Array]:
    """(N,) attribute values of the items by name, NaN where an item or the catalogue has none.

    Raises:
        ConfigError: The attribute is no number.
    """
    found: dict[str, Array] = {}
    known = items < catalogue.size
    for name in wanted:
        column = catalogue.columns.get(name)
        found[name] = np.full(len(items), np.nan)
        if column is None:
            continue
        if isinstance(column.values, Ragged) or column.type != "number":
            raise ConfigError(f"linear_ranker: attribute {name!r} is a {column.type}, expected a number")
        found[name][known] = column.values[items[known]]
    return found


def _evidence(slates: Slates, rows: Array, source: str) -> list[Array]:
    missing = np.full(len(slates.items), np.nan, np.float32)
    rank = slates.columns.get(f"rank:{source}", missing)
    score = slates.columns.get(f"score:{source}", missing)
    brought = ~np.isnan(rank)
    place = 1 / np.log2(2 + np.where(brought, rank, np.inf))
    standard = _standardised(score, rows, len(slates))
    return [brought, place, standard, _nearness(standard, ~np.isnan(score), rows, len(slates))]


def _standardised(score: Array, rows: Array, count: int) -> NDArray[np.float64]:
    """Standard deviations from the mean of the slate; 0 where missing or all equal."""
    there = ~np.isnan(score)
    value = np.where(there, score, 0).astype(np.float64)
    size = np.maximum(np.bincount(rows[there], minlength=count), 1)
    centred = np.where(there, value - (np.bincount(rows, value, count) / size)[rows], 0)
    spread = np.sqrt(np.bincount(rows, centred**2, count) / size)
    scaled = centred / np.where(spread > 1e-9, spread, 1)[rows]
    return np.clip(scaled, -CLIP, CLIP)


def _nearness(standard: Array, there: Array, rows: Array, count: int) -> NDArray[np.float64]:
    """1 for the best score of the slate, less by e per standard deviation under it; 0 where missing."""
    best = np.full(count, -np.inf)
    np.maximum.at(best, rows[there], standard[there])
    nearness: NDArray[np.float64] = np.where(there, np.exp(standard - np.where(there, best[rows], 0)), 0)
    return nearness


def _popularity(slates: Slates, popularity: Floats) -> Floats:
    known = slates.items < len(popularity)
    found = np.zeros(len(known), np.float32)
    found[known] = popularity[slates.items[known]]
    return found


def _age(queries: Queries, slates: Slates, rows: Array, catalogue: Catalogue) -> NDArray[np.float64]:
    known = slates.items < catalogue.size
    put_at = catalogue.put_at[np.where(known, slates.items, 0)] if catalogue.size else np.zeros(len(rows))
    days = np.where(known, (queries.at[rows] - put_at) / DAY_MS, 0)
    return np.log1p(np.maximum(days, 0))


def _overlap(queries: Queries, slates: Slates, rows: Array, catalogue: Catalogue) -> Floats:
    history = queries.history.tail(RECENT)
    past = attribute_vectors(catalogue, history["item"])
    likes = np.zeros((len(queries), past.shape[1]), np.float32)
    np.add.at(likes, history.rows(), past)
    likes /= np.maximum(np.linalg.norm(likes, axis=1, keepdims=True), 1e-9)
    overlap: Floats = np.einsum("nd,nd->n", attribute_vectors(catalogue, slates.items), likes[rows])
    return overlap
