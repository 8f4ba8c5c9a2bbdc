"""Eligibility: kind, the scenario's rule, the request's filter and deleted items."""

from dataclasses import replace

import numpy as np
import pytest

from polyscene.core.catalogue import Catalogue, Column
from polyscene.core.errors import FilterError
from polyscene.rules.eligible import KEPT, Rules

ITEMS = Catalogue(
    put_at=np.arange(4, dtype=np.int64),
    active=np.array([True, True, True, False]),
    kinds=np.array([0, 0, 1, 0], np.int16),
    kind_names=("movie", "song"),
    columns={"year": Column("number", np.array([1990.0, 2000.0, 2000.0, 2000.0]))},
)


def test_kind_rule_filter_and_availability_all_hold() -> None:
    allowed = Rules("movie", "year >= 1990").eligible(ITEMS, [None, "year = 2000", None])
    assert allowed.block().tolist() == [
        [True, True, False, False],
        [False, True, False, False],
        [True, True, False, False],
    ]
    assert len(allowed.masks) == 2


def test_no_rules_allow_every_active_item() -> None:
    assert Rules().eligible(ITEMS, [None]).of(0).tolist() == [True, True, True, False]


def test_an_unknown_kind_allows_nothing() -> None:
    assert not Rules("book").eligible(ITEMS, [None]).masks.any()


def test_a_new_catalogue_is_read_anew() -> None:
    rules = Rules("movie", "year = 2000")
    assert rules.eligible(ITEMS, [None]).masks.sum() == 1
    assert rules.eligible(replace(ITEMS, active=np.ones(4, bool)), [None]).masks.sum() == 2


def test_many_filters_do_not_grow_the_memory_without_end() -> None:
    rules = Rules()
    for year in range(3 * KEPT):
        rules.eligible(ITEMS, [f"year = {year}"])
    assert len(rules._kept[2]) <= KEPT


def test_a_wrong_filter_is_told() -> None:
    with pytest.raises(FilterError, match="did you mean 'year'"):
        Rules().eligible(ITEMS, ["yaer = 1"])
    with pytest.raises(FilterError):
        Rules("movie", "year >")
