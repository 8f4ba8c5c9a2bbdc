import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from polyscene.core.arrays import Ragged, RaggedTable
from polyscene.core.queries import history_of
from polyscene.core.rows import Rows
from polyscene.dataset.matrix import interactions


def naive(table: RaggedTable, rows: Rows, weighted: bool) -> np.ndarray:
    dense = np.zeros((len(table), len(rows)), np.float32)
    filled = np.zeros_like(dense, bool)
    for user, item, value in zip(table.rows(), table["item"], table["value"], strict=True):
        row = rows.of(np.array([item]))[0]
        if row >= 0:
            new = value if weighted else 1
            dense[user, row] = max(dense[user, row], new) if filled[user, row] else new
            filled[user, row] = True
    return dense


@given(
    st.lists(st.lists(st.tuples(st.integers(-1, 6), st.integers(-3, 5)), max_size=8), max_size=5),
    st.lists(st.integers(0, 6), unique=True, max_size=7),
    st.booleans(),
)
def test_it_equals_the_loop(lists, codes, weighted):
    items = Ragged.of([[item for item, _ in each] for each in lists])
    values = Ragged.of([[value for _, value in each] for each in lists], np.float32)
    table = RaggedTable(items.offsets, {"item": items.values, "value": values.values})
    rows = Rows(np.array(codes, np.int32))
    found = interactions(table, rows, weighted=weighted)
    assert found.shape == (len(lists), len(codes))
    assert found.dtype == np.float32
    assert found.has_sorted_indices
    assert found.has_canonical_format
    assert (found.toarray() == naive(table, rows, weighted)).all()


def test_the_histories_are_left_alone():
    table = history_of([[2, 1, 2], [0]])
    interactions(table, Rows(np.arange(3)), weighted=True)
    assert table["item"].tolist() == [2, 1, 2, 0]
    assert table["value"].tolist() == [1, 1, 1, 1]
