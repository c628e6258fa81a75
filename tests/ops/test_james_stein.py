"""The blend of a mean and a prior: worked numbers, ends of the scale, the optimum."""

import numpy as np
import pytest

from stepcredit.ops import blend_risk, james_stein


def test_a_prior_within_one_standard_error_stands_alone():
    made = james_stein(np.array([-0.5, 0.5]), np.array([-0.2, 0.9]), 0.25)
    np.testing.assert_array_equal(made.mean, [-0.2, 0.9])
    np.testing.assert_array_equal(made.weight, 0)
    np.testing.assert_array_equal(made.gap, 0)


def test_beyond_it_the_weight_is_one_minus_noise_over_the_squared_distance():
    x, toward, noise = np.array([1.0, -0.4, 3.0]), np.array([-0.6, 0.7, 0.0]), np.array([0.25, 0.5, 0.1])
    made = james_stein(x, toward, noise)
    want = 1 - noise / (x - toward) ** 2
    np.testing.assert_allclose(made.weight, want)
    np.testing.assert_allclose(made.mean, want * x + (1 - want) * toward)


def test_a_far_prior_leaves_the_estimate():
    made = james_stein(np.array([0.3]), 1e9, 0.25)
    np.testing.assert_allclose(made.mean, 0.3, atol=1e-6)


def test_without_an_estimate_the_prior_and_without_a_prior_the_estimate():
    made = james_stein(np.array([np.nan, 0.3, 0.3]), np.array([0.1, 0.1, np.nan]), np.array([0.2, np.inf, 0.2]))
    np.testing.assert_array_equal(made.mean, [0.1, 0.1, 0.3])
    np.testing.assert_array_equal(made.weight, [0, 0, 1])
    np.testing.assert_array_equal(made.gap, [0, 0, np.inf])


def test_an_exact_estimate_is_kept():
    made = james_stein(np.array([0.3, 0.3]), np.array([0.3, 0.9]), 0.0)
    np.testing.assert_array_equal(made.mean, 0.3)


def test_with_neither_estimate_nor_prior_there_is_no_mean():
    assert np.isnan(james_stein(np.array([np.nan]), np.nan, 1.0).mean).all()


@pytest.mark.parametrize("gap", [0.01, 0.3, 5.0])
@pytest.mark.parametrize("noise", [0.05, 1.0])
def test_no_other_weight_has_a_smaller_risk(gap, noise):
    w = np.linspace(0, 1, 10_001)
    np.testing.assert_allclose(blend_risk(gap, noise), np.min(w**2 * noise + (1 - w) ** 2 * gap), rtol=1e-6)


def test_risk_is_that_of_one_where_the_other_is_useless():
    np.testing.assert_array_equal(blend_risk(np.array([0.0, np.inf, 0.3]), np.array([0.2, 0.2, 0.0])), [0, 0.2, 0])


def test_risk_falls_with_one_more_value_by_what_the_cost_is_weighed_against():
    k = np.array([4, 15, 16])
    np.testing.assert_allclose(
        blend_risk(2.31, 1 / k) - blend_risk(2.31, 1 / (k + 1)), [0.04152, 0.00394, 0.00349], atol=5e-6
    )
