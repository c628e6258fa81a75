"""TICK: a checklist per task, a call per question."""

import numpy as np
import pytest
from judged_work import Says, rollout, told

from stepcredit.errors import StepCreditError

LIST = "<checklist>\n" + "\n".join(f"{i}. Is it {i}?" for i in range(1, 7)) + "\n</checklist>"


def answers(*verdicts):
    return Says(LIST, *(f"<items>1: {v}</items>" if v else None for v in verdicts))


def test_the_score_is_the_share_of_yes():
    """methods/tick, worked example."""
    (one,) = told("tick", rollout("a", "b"), judge=answers("yes", "yes", "no", "yes", "no", "yes"))
    assert np.array_equal(one.label, [np.nan, 4 / 6], equal_nan=True) and one.value[1] == 4 / 6
    assert one.facts["verdicts"] == [[1, 1, 0, 1, 0, 1]] and one.spent == {"judge": 7}
    assert one.facts["checklist"][0] == "Is it 1?" and one.first_error is None


def test_what_cannot_be_read_leaves_the_denominator():
    (one,) = told("tick", rollout("a"), judge=answers("yes", None, "no", "yes", "maybe", "yes"))
    assert one.label.tolist() == [0.75]


def test_one_checklist_serves_all_rollouts_of_a_task_and_does_not_see_them():
    judge = answers("yes")
    told("tick", rollout("SOLUTION"), rollout("OTHER", name=1), judge=judge, options={"most": 2})
    assert "SOLUTION" not in judge.asked[0] and sum("Write a checklist" in p for p in judge.asked) == 1
    assert len(judge.asked) == 5


def test_a_step_that_undoes_what_was_reached_is_wrong():
    judge = Says(
        "<checklist>\nIs it?\nIs it so?\n</checklist>",
        *(f"<items>1: {a}; 2: {b}</items>" for a, b in (("no", "yes"), ("yes", "yes"), ("yes", "no"))),
    )
    (one,) = told("tick@steps", rollout("a", "b", "c"), judge=judge, options={"apart": False})
    assert one.value.tolist() == [0.5, 1, 0.5] and one.label.tolist() == [1, 1, 0] and one.first_error == 2


@pytest.mark.parametrize("reply", [None, "no list", "<checklist></checklist>", "<checklist>\nQUESTION\n</checklist>"])
def test_without_a_checklist_nothing_is_judged(reply):
    (one,) = told("tick", rollout("a"), judge=Says(reply))
    assert np.isnan(one.label).all() and one.reasons[0].startswith("no checklist: ")


def test_a_checklist_has_questions():
    with pytest.raises(StepCreditError, match="most"):
        told("tick", rollout("a"), judge=Says(LIST), options={"most": 0})
