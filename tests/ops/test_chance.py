"""Pass@k against its definition."""

from itertools import combinations

import numpy as np
import pytest

from stepcredit.ops import pass_at_k


@pytest.mark.parametrize("k", [1, 2, 3, 5])
def test_it_is_the_share_of_draws_that_hold_a_pass(k):
    for c in range(6):
        samples = [1] * c + [0] * (5 - c)
        want = np.mean([any(draw) for draw in combinations(samples, k)])
        np.testing.assert_allclose(pass_at_k(samples, np.zeros(5, int), k), want, atol=1e-12)


def test_the_worked_example_of_verified_passes():
    """n = 8, four right, one of them sound: Pass@2 = 1 - 6/28, verified 1 - 21/28."""
    right, sound = np.array([1, 1, 1, 1, 0, 0, 0, 0]), np.array([0, 0, 1, 0, 1, 1, 0, 0])
    group = np.zeros(8, int)
    np.testing.assert_allclose(pass_at_k(right, group, 2), 1 - 6 / 28)
    np.testing.assert_allclose(pass_at_k(right & sound, group, 2), 0.25)


def test_tasks_apart_unknown_left_out_and_too_few_not_judged():
    passed, group = [1, 0, np.nan, 0, 1, 1, np.nan], np.array([0, 1, 0, 0, 3, 3, 3])
    np.testing.assert_allclose(pass_at_k(passed, group, 2), [1.0, np.nan, np.nan, 1.0])
    assert pass_at_k([], np.zeros(0, int), 1).size == 0
