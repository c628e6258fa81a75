"""The largest share of a cell against a sorted list of it."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from stepcredit.ops import top_share

VALUES = st.one_of(st.integers(0, 6).map(float), st.just(math.nan))


@given(st.lists(st.tuples(VALUES, st.integers(0, 3)), max_size=30), st.sampled_from([0.0, 0.25, 0.3, 0.9, 1.0]))
def test_what_lies_above_the_value_of_that_rank(rows, share):
    want = []
    for x, by in rows:
        cell = sorted(y for y, other in rows if other == by and not math.isnan(y))
        want.append(bool(cell) and x > cell[min(int((1 - share) * len(cell)), len(cell) - 1)])
    x, by = np.array([r[0] for r in rows], float), np.array([r[1] for r in rows], np.int64)
    assert top_share(x, by, share).tolist() == want


def test_equal_values_have_no_largest():
    assert not top_share(np.full(5, 0.3), np.zeros(5, np.int64), 0.5).any()
