"""Ranks with ties, and correlation, weighted as copies are."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepcredit.ops import correlation, ranks

values = st.integers(-3, 3)


@given(st.lists(values, max_size=12))
def test_ranks_average_ties(x):
    want = [sum(v < one for v in x) + (x.count(one) - 1) / 2 for one in x]
    np.testing.assert_array_equal(ranks(np.array(x, float)), want)


@given(st.lists(st.tuples(values, values, st.integers(0, 3)), min_size=1, max_size=12))
def test_a_weight_counts_a_pair_that_often(rows):
    x, y, weight = np.array(rows, float).T
    times = weight.astype(int)
    copies = np.repeat(x, times), np.repeat(y, times)
    np.testing.assert_array_equal(np.repeat(ranks(x, weight), times), ranks(copies[0]))
    there = weight > 0
    got = correlation(x[there], y[there], weight[there])
    constant = any(np.unique(c).size < 2 for c in copies)
    want = np.nan if constant else np.corrcoef(*copies)[0, 1]
    np.testing.assert_allclose(got, want, atol=1e-12)


@pytest.mark.parametrize("scale", [1e-200, 1.0, 1e200])
def test_correlation_does_not_depend_on_units(scale):
    x = np.array([1.0, 2.0, 4.0])
    assert correlation(scale * x, -x) == pytest.approx(-1) and np.isnan(correlation(x, np.zeros(3)))
