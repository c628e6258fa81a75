"""Labels straight from programs."""

from importlib.util import find_spec

import numpy as np
import pytest
from judged_work import rollout, told

from conftest import skip_or_fail
from stepcredit.errors import StepCreditError, UnknownName
from stepcredit.label.checks import checker


def test_a_step_is_wrong_if_one_check_finds_it_wrong_and_not_judged_if_none_finds_anything():
    if find_spec("sympy") is None:
        skip_or_fail("sympy", "sympy is not installed")
    given = rollout("First, read it.", "2 + 3 = 5", "x = 5 and 5 * 2 = 11", "5 * 2 = 10", outcome=1.0)
    (one,) = told("tool_checks", given, options={"checks": "calculator,symbolic"})
    assert np.array_equal(one.label, [np.nan, 1, 0, 1], equal_nan=True)
    assert one.first_error is None and one.spent == {"tool": 8}
    assert one.reasons[0] == "calculator: no arithmetic; symbolic: no equation"
    assert "5 * 2 = 11: it is 10" in one.reasons[2]
    counts = one.facts["checks"]["calculator"]
    assert counts == {"right": 2, "wrong": 1, "not judged": {"no arithmetic": 1}}


def test_the_outcome_may_be_the_last_label():
    given = rollout("2 + 3 = 5", "so it is 5", outcome=0.0)
    (one,) = told("tool_checks@gsm8k", given, options={"outcome": True})
    assert one.label.tolist() == [1, 0] and one.first_error == 1


def test_checks_must_be_named_and_be_there():
    with pytest.raises(UnknownName, match="check of steps"):
        told("tool_checks", rollout("a"), options={"checks": "calculator,sumpy"})
    with pytest.raises(StepCreditError, match="no checks"):
        told("tool_checks", rollout("a"), options={"checks": ()})


def test_checks_can_be_the_checker_of_a_tree():
    given = [
        rollout("2 + 3 = 5", "5 * 2 = 11", "so 11", outcome=0.0),
        rollout("2 + 3 = 5", "so 5", name=1, outcome=1.0),
    ]
    models = {"sampler": None, "verifier": None, "checker": checker("calculator")}
    one, other = told("groundedprm@given", *given, **models)
    assert one.label.tolist() == [1, 0, 0] and other.label.tolist() == [1, 1]
