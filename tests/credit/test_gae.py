"""GAE of rollouts that a limit cut."""

import numpy as np
import pytest

from stepcredit.credit import on_columns
from stepcredit.errors import MissingColumn

GIVEN = {"rollout": [0, 0, 1, 1], "reward": [0, 1, 0, 1], "value": [0.5, 0.25, 0.5, 0.25], "truncated": [1, 1, 0, 0]}


def test_a_cut_takes_what_the_last_step_earned_from_it_and_from_those_before():
    made = on_columns("gae", GIVEN, truncation="zero", lam=1.0)
    np.testing.assert_array_equal(made, [0.25 - 0.5, 0, 0.5, 0.75])


def test_truncation_needs_to_be_known():
    bare = {n: v for n, v in GIVEN.items() if n != "truncated"}
    with pytest.raises(MissingColumn, match="truncated"):
        on_columns("vl_dac", bare)
    np.testing.assert_array_equal(on_columns("gae", bare), on_columns("gae", GIVEN))


def test_a_batch_of_one_advantage_is_whitened_to_nothing():
    one = {"rollout": [0, 1], "reward": [1, 1], "value": [0.25, 0.25], "truncated": [0, 0]}
    np.testing.assert_array_equal(on_columns("vl_dac", one), [0, 0])
