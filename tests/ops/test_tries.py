"""Chances from a number of tries."""

from itertools import combinations

import numpy as np
import pytest

from stepcredit.ops import best_of, wilson


def test_plugged_in_as_in_pav():
    np.testing.assert_allclose(best_of(4, [5, 6, 4], [10, 10, 10]), [0.9375, 0.9744, 0.8704])


@pytest.mark.parametrize("n", [1, 2, 5, 7])
def test_unbiased_is_the_share_of_subsets_that_hold_a_win(n):
    for won in range(n + 1):
        for k in range(1, n + 1):
            subsets = list(combinations([1] * won + [0] * (n - won), k))
            want = sum(any(s) for s in subsets) / len(subsets)
            assert best_of(k, won, n, unbiased=True) == pytest.approx(want, abs=1e-12)


def test_too_few_tries_are_not_judged():
    np.testing.assert_array_equal(np.isnan(best_of(3, [1, 1], [2, 3], unbiased=True)), [True, False])
    assert np.isnan(best_of(3, 0, 0)) and best_of(1, 0, 1) == 0


def test_wilson_solves_its_equation():
    for won, n in ((0, 5), (3, 7), (7, 7), (1, 100)):
        low, high = wilson(won, n, z=2.0)
        for p in (low, high):
            if 0 < p < 1:
                assert (won / n - p) ** 2 == pytest.approx(4 * p * (1 - p) / n, abs=1e-12)
    assert [float(x) for x in wilson(0, 0)] == pytest.approx([0, 1])
