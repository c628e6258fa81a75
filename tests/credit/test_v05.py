"""V0.5 at its edges: one or two rollouts, a range that is none."""

import numpy as np
import pytest

from stepcredit.credit import on_columns
from stepcredit.errors import StepCreditError


def test_one_rollout_bends_the_prior_only_beyond_one_standard_error():
    given = {"rollout": [0], "outcome": [1.0]}
    assert on_columns("v05", {**given, "prior_value": [0.0]}).tolist() == [1.0]
    # (1 + .5)^2 = 2.25 > 1: w = 1.25 / 2.25, baseline -.5 + 1.5 w
    np.testing.assert_allclose(on_columns("v05", {**given, "prior_value": [-0.5]}), [1.5 - 1.5 * 1.25 / 2.25])


def test_an_unknown_outcome_does_not_count_as_a_rollout():
    three = {"group": [0, 0, 0], "rollout": [0, 1, 2], "outcome": [1, 1, None], "prior_value": [-1.0]}
    two = {"group": [0, 0], "rollout": [0, 1], "outcome": [1, 1], "prior_value": [-1.0]}
    np.testing.assert_array_equal(on_columns("v05", three)[:2], on_columns("v05", two))


def test_equal_outcomes_with_no_prior_get_exactly_nothing():
    given = {"rollout": [0, 1, 2], "outcome": [0.81] * 3, "prior_value": [None]}
    assert on_columns("v05", given).tolist() == [0, 0, 0]


@pytest.mark.parametrize(("low", "high"), [(1.0, 1.0), (1.0, 0.0)])
def test_a_range_without_width_is_refused(low, high):
    with pytest.raises(StepCreditError, match="low must lie below high"):
        on_columns("v05", {"rollout": [0], "outcome": [1.0], "prior_value": [0.0]}, low=low, high=high)
