import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from polyscene.core.arrays import Ragged, distinct, offsets_of, spans
from polyscene.core.queries import history_of
from polyscene.testing import strategies

LISTS = strategies.lists(9)


def unpacked(ragged):
    return [ragged[row].tolist() for row in range(len(ragged))]


@given(LISTS)
def test_packing_loses_nothing(lists):
    packed = Ragged.of(lists)
    assert unpacked(packed) == lists
    assert packed.lengths.tolist() == [len(row) for row in lists]
    assert packed.rows().tolist() == [row for row, items in enumerate(lists) for _ in items]
    assert packed.values.dtype == np.int32


@given(LISTS, st.data())
def test_take_picks_lists_in_any_order_and_number(lists, data):
    rows = data.draw(st.lists(st.integers(0, len(lists) - 1), max_size=6)) if lists else []
    taken = Ragged.of(lists).take(np.array(rows, np.int64))
    assert unpacked(taken) == [lists[row] for row in rows]


@given(LISTS, st.integers(0, 9))
def test_tail_is_the_end_of_every_list(lists, count):
    tail = history_of(lists).tail(count)
    assert unpacked(tail.ragged("item")) == [row[len(row) - min(count, len(row)) :] for row in lists]


@given(LISTS, st.data())
def test_where_keeps_the_lists_and_drops_rows(lists, data):
    table = history_of(lists)
    keep = np.array([data.draw(st.booleans()) for _ in table["item"]], bool)
    flags = Ragged(table.offsets, keep)
    kept = table.where(keep)
    expected = [
        [item for item, flag in zip(items, flags[row], strict=True) if flag]
        for row, items in enumerate(lists)
    ]
    assert unpacked(kept.ragged("item")) == expected
    assert all(len(column) == len(kept["item"]) for column in kept.columns.values())


@given(LISTS)
def test_distinct_is_a_sorted_set_per_list(lists):
    packed = Ragged.of(lists)
    assert unpacked(distinct(packed.rows(), packed.values, len(packed))) == [
        sorted(set(row)) for row in lists
    ]


def test_empty_lists_and_no_lists():
    assert unpacked(Ragged.empty(2)) == [[], []]
    assert unpacked(Ragged.of([])) == []
    assert offsets_of(np.zeros(0, np.int64)).tolist() == [0]
    assert spans(np.array([5, 0, 9]), np.array([2, 0, 1])).tolist() == [5, 6, 9]
