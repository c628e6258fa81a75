"""WebSTAR: scores of actions before they are taken."""

import numpy as np
import pytest
from judged_work import Says, rollout, told

STEPS = ("open", "type", "search", "scroll", "answer")


def scores(*numbers):
    return Says(*(n if isinstance(n, str | None) else f"So.\nExpected value: {n}" for n in numbers))


def test_steps_above_the_threshold_are_kept():
    """methods/webstar, worked example: exactly 5 is out."""
    (one,) = told("webstar", rollout(*STEPS), judge=scores(9, 3, 7, 5, 8))
    assert one.label.tolist() == [1, 0, 1, 0, 1] and one.facts["targets"] == [0, 2, 4] and one.first_error == 1
    assert one.value.tolist() == [0.9, 0.3, 0.7, 0.5, 0.8] and one.facts["scores"] == [9, 3, 7, 5, 8]


def test_a_score_out_of_range_is_none_and_is_asked_for_again():
    (one,) = told("webstar", rollout(*STEPS), judge=scores(9, 15, 7, 5, 8))
    assert np.array_equal(one.label, [1, np.nan, 1, 0, 1], equal_nan=True)
    assert one.reasons[1] == "a value out of range" and one.first_error is None
    (one,) = told("webstar", rollout(*STEPS), judge=scores(9, 15, 7, 5, 8, 6), options={"retries": 1})
    assert one.label.tolist() == [1, 1, 1, 0, 1] and one.spent == {"judge": 6}


def test_a_failed_call_drops_the_rollout_if_that_is_wanted():
    (one,) = told("webstar", rollout(*STEPS), judge=scores(9, None, 7, 5, 8), options={"drop": True})
    assert np.isnan(one.label).all() and one.facts["targets"] == []


def test_rollouts_that_are_not_right_can_be_left_out():
    judge = scores(9)
    for outcome in (0.0, None):
        (one,) = told("webstar@right-alone", rollout("a", outcome=outcome), judge=judge)
        assert np.isnan(one.label).all() and not judge.asked and one.reasons == ("the outcome is not right",)
    assert told("webstar@right-alone", rollout("a", outcome=1.0), judge=judge)[0].label.tolist() == [1]


@pytest.mark.parametrize("history", [0, 1])
def test_the_judge_sees_what_came_before_and_not_what_comes_of_the_step(history):
    judge = scores(9)
    told("webstar", rollout("first", "second", observation="SEEN"), judge=judge, options={"history": history})
    assert "SEEN" not in judge.asked[0] and judge.asked[1].count("SEEN") == 1
    assert ("action of step 1" in judge.asked[1]) is (history == 0)


def test_thoughts_are_rewritten_on_demand():
    judge = Says("Expected value: 9", "<thought> I open it. </thought>")
    (one,) = told("webstar", rollout("open"), judge=judge, options={"rewrite": True})
    assert one.facts["thoughts"] == ["I open it."] and one.spent == {"judge": 2}
