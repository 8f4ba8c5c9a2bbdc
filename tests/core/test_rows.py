import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from polyscene.core.rows import Rows


@given(st.lists(st.integers(0, 20), unique=True), st.lists(st.integers(-1, 40)))
def test_a_code_has_its_row_or_none(codes, asked):
    rows = Rows(np.array(codes, np.int32))
    expected = [codes.index(code) if code in codes else -1 for code in asked]
    assert rows.of(np.array(asked, np.int32)).tolist() == expected
    assert len(rows) == len(codes)


@given(st.lists(st.integers(0, 9), unique=True), st.integers(0, 12))
def test_spread_puts_scores_at_their_codes(codes, width):
    rows = Rows(np.array(codes, np.int32))
    scores = np.arange(2 * len(codes), dtype=np.float32).reshape(2, len(codes))
    block = rows.spread(scores, width)
    assert block.shape == (2, width)
    assert block.dtype == np.float32
    for code in range(width):
        expected = scores[:, codes.index(code)] if code in codes else np.full(2, -np.inf)
        np.testing.assert_array_equal(block[:, code], expected)


def test_rows_keep_the_shape_asked():
    assert Rows(np.array([4, 2])).of(np.array([[2, 4], [0, -1]])).tolist() == [[1, 0], [-1, -1]]
