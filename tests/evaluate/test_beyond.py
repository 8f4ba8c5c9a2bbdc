"""Metrics beyond accuracy against their naive forms."""

from dataclasses import replace
from itertools import combinations
from math import log, log2

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyscene.core.arrays import Ragged
from polyscene.core.catalogue import Catalogue, Column
from polyscene.core.contracts import Data
from polyscene.core.queries import Eligible, Queries, history_of
from polyscene.core.slates import Slates
from polyscene.evaluate.beyond import beyond_per_query, beyond_totals, gini, item_facts

LISTS = [[0, 1, 1], [0, 2], [0], [3, 0]]
SIZE = 5


def facts_of(lists=None, catalogue=None):
    histories = history_of(LISTS if lists is None else lists)
    data = Data(np.arange(len(histories), dtype=np.int32), histories, catalogue or Catalogue.bare(SIZE), 9)
    return item_facts(data, Queries.of_histories(histories, SIZE))


def slates_of(lists):
    items = Ragged.of(lists)
    return Slates(items.offsets, items.values, np.zeros(len(items.values), np.float32))


def test_an_item_touched_twice_by_one_person_counts_once():
    assert facts_of().touched.tolist() == [4, 1, 1, 1, 0]


def test_novelty_is_in_bits_and_an_untouched_item_counts_as_touched_once():
    found = beyond_per_query(slates_of([[0], [1], [4], [0, 1], []]), facts_of([*LISTS, []]))
    five = log2(5 / 4)
    expected = [five, log2(5), log2(5), (five + log2(5)) / 2, np.nan]
    np.testing.assert_allclose(found["novelty"], expected)


def test_arp_is_the_share_of_people():
    found = beyond_per_query(slates_of([[0], [1, 4], [0], [0]]), facts_of())
    np.testing.assert_allclose(found["arp"], [1, 0.125, 1, 1])


def test_popularity_bias_compares_with_the_history():
    found = beyond_per_query(slates_of([[0], [1], [4], []]), facts_of())["popularity_bias"]
    taste = (log(5) + 2 * log(2)) / 3
    assert found[0] == pytest.approx(log(5) / taste)
    assert found[1] == pytest.approx(log(2) / ((log(5) + log(2)) / 2))
    assert found[2] == 0
    assert np.isnan(found[3])


def test_without_history_there_is_no_taste_to_compare_with():
    assert np.isnan(beyond_per_query(slates_of([[0]]), facts_of([[]]))["popularity_bias"]).all()


def cosine(left, right):
    return left @ right / (np.linalg.norm(left) * np.linalg.norm(right) or 1)


def naive_diversity(items, rows):
    pairs = list(combinations(items, 2))
    return 1 - sum(cosine(rows[a], rows[b]) for a, b in pairs) / len(pairs)


def test_diversity_by_people_in_common():
    people = np.array([[item in seen for seen in LISTS] for item in range(SIZE)], float)
    slates = [[0, 1], [0, 1, 2, 4], [2, 3], [1]]
    found = beyond_per_query(slates_of(slates), facts_of())["diversity"]
    np.testing.assert_allclose(
        found[:3], [naive_diversity(items, people) for items in slates[:3]], atol=1e-6
    )
    assert np.isnan(found[3])


def test_diversity_by_categories_and_tags():
    tags = Ragged.of([[0, 1], [0], [1], [], [0, 1]])
    catalogue = replace(
        Catalogue.bare(SIZE),
        columns={
            "genre": Column("tags", tags, ("a", "b")),
            "maker": Column("category", np.array([0, 0, -1, -1, 1], np.int32), ("x", "y")),
            "year": Column("number", np.arange(SIZE, dtype=float)),
        },
    )
    rows = np.array([[1, 1, 1, 0], [1, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 0], [1, 1, 0, 1]], float)
    slates = [[0, 1, 2], [3, 0], [4, 0], [1, 2, 3, 4]]
    found = beyond_per_query(slates_of(slates), facts_of(catalogue=catalogue))["diversity"]
    np.testing.assert_allclose(found, [naive_diversity(items, rows) for items in slates], atol=1e-6)


def test_coverage_counts_only_what_could_be_shown():
    histories = history_of(LISTS)
    queries = Queries.of_histories(histories, SIZE)
    masks = np.array([[True, True, False, False, False], [True, False, True, False, False]])
    queries = replace(queries, allowed=Eligible(masks, np.array([0, 1, 0, 1])))
    facts = item_facts(Data(np.arange(4, dtype=np.int32), histories, Catalogue.bare(SIZE), 9), queries)
    assert beyond_totals(slates_of([[0], [0], [1], [0]]), facts)["coverage"] == pytest.approx(2 / 3)


@given(st.lists(st.integers(0, 20), min_size=1, max_size=8))
def test_gini_equals_its_naive_form(counts):
    total = sum(counts)
    gaps = sum(abs(a - b) for a in counts for b in counts)
    expected = gaps / (2 * len(counts) * total) if total else 0
    assert gini(np.array(counts)) == pytest.approx(expected)


def test_no_slates_at_all():
    facts = facts_of()
    assert beyond_totals(Slates.empty(4), facts) == {"coverage": 0.0, "gini": 0.0}
