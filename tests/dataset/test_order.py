"""The packed order is the plain one, whatever the spans."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from polyscene.dataset.order import history_order, plain_order

ROWS = st.lists(
    st.tuples(
        st.integers(0, 5) | st.integers(0, 2**31 - 1),
        st.sampled_from([0, 1000, 2000]) | st.integers(0, 9) | st.integers(-(2**63), 2**63 - 1),
    ),
    max_size=60,
)


@given(ROWS)
def test_the_order_is_the_plain_one(rows):
    users = np.array([user for user, _ in rows], np.int32)
    times = np.array([time for _, time in rows], np.int64)
    np.testing.assert_array_equal(history_order(users, times), plain_order(users, times))
