"""SPARK: verdicts of many verifications, and the one that agrees with them."""

import numpy as np
import pytest
from judged_work import Says, rollout, told

from stepcredit.evidence._prompts import Unreadable
from stepcredit.label.systems.spark import consensus, read_verification

STEPS = ("one", "two", "three")


def said(*verdicts, final="wrong"):
    labels = ", ".join(f"{i}:{'+1' if v else '-1'}" for i, v in enumerate(verdicts, 1))
    return f"Seen. <labels>{labels}</labels>\n<final>{final}</final>"


def test_the_majority_of_each_step_and_the_first_that_agrees():
    """methods/spark, worked example."""
    judge = Says(said(1, 1, 0), said(1, 0, 0), said(1, 1, 1, final="right"))
    (one,) = told("spark", rollout(*STEPS), judge=judge, options={"n": 3})
    assert one.label.tolist() == [1, 1, 0] and one.first_error == 2
    assert one.facts["kept"] == 0 and one.facts["final"] is False and one.facts["critique"] == said(1, 1, 0)
    assert one.value.tolist() == pytest.approx([1, 2 / 3, 1 / 3])


def test_a_tie_is_wrong_and_where_none_agrees_none_is_kept():
    label, kept = consensus(np.array([[1, 0, 1], [0, 1, 1]]))
    assert label.tolist() == [0, 0, 1] and kept is None
    assert consensus(np.array([[1, 0, 1], [0, 1, 1]]), "most")[1] == 0


def test_by_the_outcome_the_verification_with_the_final_verdict_of_most_is_believed():
    judge = Says(said(1, 1, 1, final="right"), said(1, 0, 0), said(0, 1, 0))
    (one,) = told("spark@outcome-consistency", rollout(*STEPS), judge=judge, options={"n": 3})
    assert one.label.tolist() == [1, 0, 0] and one.facts["kept"] == 1


def test_a_critic_reviews_what_is_kept():
    judge = Says(said(1, 1, 1), said(1, 0, 1))
    (one,) = told("spark@meta-critique", rollout(*STEPS), judge=judge)
    assert one.label.tolist() == [1, 0, 1] and "verification" in judge.asked[1] and said(1, 1, 1) in judge.asked[1]
    judge = Says(said(1, 1, 1), said(1, 1, 1), said(0, 1, 1))
    (one,) = told("spark@hybrid", rollout(*STEPS), judge=judge, options={"n": 2})
    assert one.label.tolist() == [0, 1, 1] and one.spent == {"judge": 3}


def test_a_critic_that_fails_leaves_nothing_judged():
    (one,) = told("spark@meta-critique", rollout(*STEPS), judge=Says(said(1, 1, 1), None))
    assert np.isnan(one.label).all() and one.reasons[0].startswith("the critic: ")


def test_verifications_of_another_number_of_steps_are_dropped():
    judge = Says(said(1, 1), said(1, 1, 1, 1), said(1, 0, 1))
    (one,) = told("spark", rollout(*STEPS), judge=judge, options={"n": 3})
    assert one.label.tolist() == [1, 0, 1] and one.facts["verifications"] == 1
    with pytest.raises(Unreadable):
        read_verification("<labels>1:+1</labels>", 1)
