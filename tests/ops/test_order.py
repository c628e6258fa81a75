"""Places inside cells, against counting."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from stepcredit.ops import cell_range, place


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(-1, 2), st.integers(0, 1)), max_size=15))
def test_a_place_is_the_number_of_rows_of_the_cell_that_come_before(rows):
    by, first, second = np.array(rows, int).reshape(-1, 3).T
    want = [sum(o[0] == r[0] and o[1:] < r[1:] for o in rows) for r in rows]
    np.testing.assert_array_equal(place(by, first.astype(float), second), want)


def test_ties_share_a_place_and_infinite_keys_come_last():
    np.testing.assert_array_equal(place(np.zeros(4, int), np.array([np.inf, 2.0, 2.0, 0.5])), [3, 1, 1, 0])


def test_a_range_leaves_missing_values_out():
    x = np.array([1.0, np.nan, -2.0, np.nan, 5.0])
    np.testing.assert_array_equal(cell_range(x, np.array([0, 0, 0, 1, 2])), [3.0, np.nan, 0.0])
    assert cell_range(np.zeros(0), np.zeros(0, int)).size == 0
