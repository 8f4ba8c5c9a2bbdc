"""At most so many of one category."""

from dataclasses import replace

import numpy as np
import pytest

from polyscene.core.catalogue import Catalogue, Column
from polyscene.core.contracts import Run, StillView
from polyscene.core.errors import ConfigError
from polyscene.core.queries import Queries, history_of
from polyscene.core.slates import Slates
from polyscene.rerank.limit import Limit
from polyscene.testing.worlds import nothing

ITEMS = replace(
    Catalogue.bare(6),
    columns={
        "artist": Column("category", np.array([0, 0, 0, 1, -1, -1], np.int32), ("x", "y")),
        "year": Column("number", np.zeros(6)),
    },
)
SLATES = Slates(
    np.array([0, 6, 8]),
    np.array([2, 4, 1, 0, 3, 5, 0, 1], np.int32),
    np.arange(8, 0, -1).astype(np.float32),
)
QUERIES = Queries.of_histories(history_of([[], []]), 7)


def limited(most: int, by: str = "artist") -> list[list[int]]:
    found = Limit(by=by, most=most).fit(nothing(), Run(view=StillView(ITEMS)))(QUERIES, SLATES)
    return [found.of(0).tolist(), found.of(1).tolist()]


def test_the_best_of_each_stay_and_items_without_a_value_too() -> None:
    assert limited(1) == [[2, 4, 3, 5], [0]]
    assert limited(2) == [[2, 4, 1, 3, 5], [0, 1]]
    assert limited(9) == [SLATES.of(0).tolist(), [0, 1]]


def test_a_missing_column_limits_nothing_and_a_number_is_refused() -> None:
    assert limited(1, "label")[0] == SLATES.of(0).tolist()
    with pytest.raises(ConfigError, match="'year' is a number, not a category"):
        limited(1, "year")
