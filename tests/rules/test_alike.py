"""Items that share a value, whatever type the attribute has."""

import numpy as np
import pytest

from polyscene.dataset.catalogue import catalogue_as_of
from polyscene.events.event import ItemPut
from polyscene.rules.alike import alike

BOOKS = [
    {"author": "ann", "tags": ["sea", "war"], "year": 1990, "title": "One"},
    {"author": "ben", "tags": ["war"], "year": 1991, "title": "Two"},
    {"author": "ann", "tags": ["love"], "year": 1990, "title": "One"},
    {},
]


@pytest.fixture(scope="module")
def books():
    puts = [(code, ItemPut(id=str(code), time=1, attributes=each)) for code, each in enumerate(BOOKS)]
    return catalogue_as_of(puts, np.ones(len(BOOKS), np.int64)).snapshot()


@pytest.mark.parametrize("attribute", ["author", "tags", "year", "title", "publisher"])
@pytest.mark.parametrize("codes", [[0], [1], [0, 1], [3], [-1, 99], []])
def test_it_is_what_each_item_says_by_itself(books, attribute, codes):
    def words(code: int) -> set:
        told = BOOKS[code].get(attribute)
        return set() if told is None else set(told) if isinstance(told, list) else {told}

    wanted = set().union(*(words(code) for code in codes if 0 <= code < len(BOOKS)))
    expected = [code for code in range(len(BOOKS)) if words(code) & wanted]
    assert alike(books, attribute, np.array(codes, np.int32)).tolist() == expected
