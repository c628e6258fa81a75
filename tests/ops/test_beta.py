"""The beta distribution, against lgamma, closed forms and a numeric integral."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepcredit.ops import chance_above, log_beta

SHAPES = [(a, b) for a in (1e-3, 0.03, 0.5, 1.0, 2.5, 12.0, 50.0) for b in (0.01, 0.4, 1.0, 7.0, 90.0, 1e3, 1e4)]
positive = st.floats(-3, 6).map(lambda x: 10.0**x)


def integral(floor, a, b):
    """The density above the floor, by the exp-sinh rule: with x = 1 - (1 - floor) e^-y it falls off smoothly in y."""
    step = 0.004
    u = np.arange(-4.5, 4.5, step)
    y = np.exp(math.pi / 2 * np.sinh(u))
    slope = y * math.pi / 2 * np.cosh(u)
    log_c = math.log1p(-floor) - y
    log_x = np.where(log_c > -1e-3, np.log(-np.expm1(np.minimum(log_c, -1e-300))), np.log1p(-np.exp(log_c)))
    log_norm = math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
    return float(np.sum(np.exp((a - 1) * log_x + b * log_c - log_norm) * slope) * step)


@given(positive, positive)
def test_log_beta_is_that_of_three_gammas(a, b):
    terms = [math.lgamma(a), math.lgamma(b), math.lgamma(a + b)]
    assert abs(log_beta(a, b) - (terms[0] + terms[1] - terms[2])) < 1e-11 + 4e-15 * max(map(abs, terms))


@pytest.mark.parametrize("floor", [0.001, 0.01, 0.25])
def test_the_chance_above_a_floor_is_the_integral_of_the_density(floor):
    want = [integral(floor, a, b) for a, b in SHAPES]
    np.testing.assert_allclose(chance_above(floor, *np.array(SHAPES).T), want, atol=1e-10, rtol=0)
    assert min(want) < 1e-8 and max(want) > 1 - 1e-9


@given(st.floats(0.001, 0.999), positive)
def test_powers_have_a_closed_form(floor, a):
    np.testing.assert_allclose(chance_above(floor, a, 1.0), -math.expm1(a * math.log(floor)), atol=1e-9)
    np.testing.assert_allclose(chance_above(floor, 1.0, a), (1 - floor) ** a, atol=1e-9)


@given(st.floats(0.001, 0.999), positive, positive)
def test_one_of_the_two_tails_it_is(floor, a, b):
    np.testing.assert_allclose(chance_above(floor, a, b) + chance_above(1 - floor, b, a), 1, atol=1e-8)


@pytest.mark.parametrize("a", [0.01, 1.0, 30.0, 300.0, 3e3, 1e5])
def test_half_lies_above_the_middle(a):
    np.testing.assert_allclose(chance_above(0.5, a, a), 0.5, atol=1e-9, rtol=0)


def test_many_visits_decide_on_which_side_of_the_floor_a_value_is():
    won, n = np.array([20.0, 49.0, 51.0, 80.0]), 1000.0
    chance = chance_above(0.05, won, n - won)
    assert chance[0] < 1e-6 and 0.4 < chance[1] < 0.5 < chance[2] < 0.6 and chance[3] > 1 - 1e-4


def test_the_chance_rises_with_successes_and_falls_with_failures():
    won, lost = np.meshgrid(np.linspace(0.1, 60, 40), np.linspace(0.1, 300, 40))
    for floor in (0.001, 0.1, 0.6):
        chance = chance_above(floor, won, lost)
        assert (chance >= 0).all() and (chance <= 1).all()
        assert (np.diff(chance, axis=1) >= -1e-11).all() and (np.diff(chance, axis=0) <= 1e-11).all()


def test_one_heavy_entry_changes_no_other():
    a, b = np.array(SHAPES).T
    alone = [float(chance_above(0.01, x, y)) for x, y in SHAPES]
    together = chance_above(0.01, np.append(a, 3e4), np.append(b, 1e6))
    np.testing.assert_allclose(together[:-1], alone, atol=1e-10)


def test_shapes_are_those_of_the_input():
    assert chance_above(0.1, np.zeros((0,)), np.zeros((0,))).shape == (0,)
    assert chance_above(0.1, 1.0, np.ones((2, 3))).shape == (2, 3) and chance_above(0.1, 1.0, 2.0).shape == ()
    assert log_beta(np.ones((4, 1)), np.ones(3)).shape == (4, 3)
