"""SPARE: records of an aligned judge."""

import json

import numpy as np
import pytest
from judged_work import Says, rollout, told

from stepcredit.evidence._prompts import Unreadable
from stepcredit.label.systems.spare import read_records

STEPS = ("a", "b", "c", "d")


def said(**labels):
    rows = [{"student_step": int(k[1:]), "label": v, "explanation": f"why {k}"} for k, v in labels.items()]
    return f"Compared [1].\n{json.dumps(rows)}"


GRADED = said(_1="CORRECT", _2="INCORRECT", _4="CORRECT")


@pytest.mark.parametrize(
    "outcome, missing, label",
    [
        (0.0, "wrong", [1, 0, 0, 0]),
        (1.0, "wrong", [1, 0, 0, 1]),
        (1.0, "outcome", [1, 0, 1, 1]),
        (1.0, "unjudged", [1, 0, np.nan, 1]),
        (None, "outcome", [1, 0, np.nan, 1]),
    ],
)
def test_steps_that_are_left_out_and_the_last(outcome, missing, label):
    """methods/spare, worked example."""
    given = rollout(*STEPS, outcome=outcome, gold="first so, then so")
    (one,) = told("spare", given, judge=Says(GRADED), options={"missing": missing})
    assert np.array_equal(one.label, label, equal_nan=True)
    assert one.facts["records"][1]["student_step"] == 2 and one.reasons[1] == "why _2" and one.spent == {"judge": 1}


def test_the_judge_sees_the_reference_and_without_one_is_not_asked():
    judge = Says(GRADED)
    told("spare", rollout(*STEPS, gold="the whole way"), judge=judge)
    assert "the whole way" in judge.asked[0]
    (one,) = told("spare", rollout(*STEPS, outcome=1.0), judge=judge)
    assert len(judge.asked) == 1 and np.array_equal(one.label, [np.nan] * 3 + [1], equal_nan=True)
    assert one.reasons[:3] == ("no reference solution",) * 3


@pytest.mark.parametrize(
    "reply", ["", "[]", "[1, 2]", '[{"student_step": 9, "label": "CORRECT"}]', '[{"label": "x"}]', "[" * 5000]
)
def test_a_reply_without_records_is_not_judged(reply):
    (one,) = told("spare", rollout(*STEPS, gold="g"), judge=Says(reply))
    assert np.isnan(one.label).all() and all(one.reasons)


def test_the_last_list_counts_and_a_verdict_that_is_none_counts_as_left_out():
    form = '[{"student_step": 1, "label": "CORRECT or INCORRECT"}]'
    found = read_records(f'{form}\n[{{"student_step": 1, "label": "CORRECT", "reference_steps": [1, 2]}}]', 1)
    assert found[0].label == "CORRECT" and found[0].reference_steps == [1, 2]
    (one,) = told("spare@strict", rollout("a", "b", gold="g"), judge=Says(form))
    assert np.isnan(one.label).all()
    with pytest.raises(Unreadable):
        read_records("<think> [", 1)
