"""Labels of a solution: first errors, what becomes of the steps behind them, soft windows."""

import numpy as np
import pytest

from stepcredit.errors import LayoutError, StepCreditError, UnknownName
from stepcredit.label.labels import Labels, after_error, first_wrong, soft_window, unjudged

NAN = np.nan


def labels(label, **known):
    label = np.array(label, float)
    steps = tuple(map(str, range(label.size)))
    return Labels("p", 0, "Q", steps, **{**unjudged(steps), "label": label, "first_error": first_wrong(label), **known})


@pytest.mark.parametrize(
    "label, first",
    [([1, 0, 1], 1), ([1, 1], -1), ([1, NAN, 0], None), ([1, 0, NAN], 1), ([NAN], None), ([0.5, 0.49], 1), ([], -1)],
)
def test_first_wrong(label, first):
    assert first_wrong(np.array(label, float)) == first


@pytest.mark.parametrize(
    "policy, told", [("local", [1, 0, 1, NAN]), ("cut", [1, 0]), ("mask", [1, 0, NAN, NAN]), ("negative", [1, 0, 0, 0])]
)
def test_what_stands_behind_the_first_error(policy, told):
    one = labels([1, 0, 1, NAN])
    found = after_error(one, policy)
    assert np.array_equal(found.label, told, equal_nan=True)
    assert len(found.steps) == len(found.reasons) == len(told) and found.first_error == 1
    assert np.array_equal(one.label, [1, 0, 1, NAN], equal_nan=True)


@pytest.mark.parametrize("policy", ["local", "cut", "mask", "negative"])
def test_without_a_known_error_nothing_changes(policy):
    for label in ([1, 1], [NAN, 0]):
        one = labels(label)
        assert after_error(one, policy) is one


def test_an_unknown_policy_names_those_there_are():
    with pytest.raises(UnknownName, match="policy"):
        after_error(labels([1]), "keep")


def test_soft_labels_in_front_of_the_error():
    """methods/scan, worked example: SC = 0.8125, MC = (1, .875, .5, .25, 0)."""
    value = np.array([1, 0.875, 0.5, 0.25, 0, 0.5])
    found = soft_window(labels([1, 1, 1, 1, 0, 1], value=value), width=2, ability=0.8125)
    assert np.allclose(found.label, [1, 1, 0.615385, 0.307692, 0], atol=1e-6)
    short = soft_window(labels([1, 0], value=np.array([0.875, 0])), ability=0.8125)
    assert short.label.tolist() == [1, 0]
    assert soft_window(labels([0], value=np.zeros(1))).label.tolist() == [0]


def test_a_soft_window_needs_an_ability():
    for wrong in ({"ability": 0.0}, {"ability": 1.5}, {"width": -1}):
        with pytest.raises(StepCreditError):
            soft_window(labels([1, 0]), **wrong)


def test_columns_have_one_length_and_the_first_error_lies_within():
    with pytest.raises(LayoutError, match="disagree"):
        labels([1, 0], won=np.zeros(3, int))
    with pytest.raises(LayoutError, match="first error 2"):
        labels([1, 0], first_error=2)
