"""CAPO: votes of critiques on the wrong steps."""

import numpy as np
import pytest
from judged_work import Says, rollout, told

from stepcredit.errors import StepCreditError

STEPS = ("one", "two", "three")
VOTES = ("1, 2, 3", "1, 2", "1, 2", "1")


def said(*wrong):
    return Says(*(f"<wrong>{w}</wrong>" if isinstance(w, str) else w for w in wrong))


@pytest.mark.parametrize(
    "vote, label",
    [
        ("intersection", [0, 1, 1]),
        ("majority", [0, 0, 1]),
        ("strict_majority", [0, 0, 1]),
        ("union", [0, 0, 0]),
        ("mean", [0, 0.25, 0.75]),
    ],
)
def test_votes(vote, label):
    """methods/capo, worked example: k = 4, counts 4, 3, 1."""
    (one,) = told("capo", rollout(*STEPS, gold="7"), judge=said(*VOTES), options={"vote": vote})
    assert one.label.tolist() == label and one.facts == {"named": [4, 3, 1], "critiques": 4, "failed": 0}
    assert one.value.tolist() == [0, 0.25, 0.75] and one.spent == {"judge": 4}


def test_half_is_a_majority_but_no_strict_one():
    for vote, label in (("majority", 0), ("strict_majority", 1)):
        (one,) = told("capo", rollout("a"), judge=said("1", "1", "none", "none"), options={"vote": vote})
        assert one.label.tolist() == [label]


def test_a_critique_that_cannot_be_read_has_no_vote_or_finds_nothing_wrong():
    (one,) = told("capo", rollout(*STEPS), judge=said("1", "1", None, "4"))
    assert one.label.tolist() == [0, 1, 1] and one.facts["failed"] == 2 and one.facts["critiques"] == 2
    (one,) = told("capo@port", rollout(*STEPS), judge=said("1", "1", None, "4"))
    assert one.label.tolist() == [1, 1, 1] and one.value[0] == 0.5


def test_where_no_critique_can_be_read_nothing_is_judged():
    (one,) = told("capo@port", rollout(*STEPS), judge=Says("I cannot."))
    assert np.isnan(one.label).all() and set(one.reasons) == {"no <wrong> of the form asked for"}


def test_the_judge_is_told_the_right_answer_only_where_it_is_to_be():
    for tell in (True, False):
        judge = said("none")
        told("capo", rollout(*STEPS, gold="the gold"), judge=judge, options={"tell": tell})
        assert ("the gold" in judge.asked[0]) is tell


def test_what_failed_is_asked_again_with_another_draw():
    judge = said(None, "1")
    (one,) = told("capo@greedy", rollout(*STEPS), judge=judge, options={"retries": 1})
    assert one.label.tolist() == [0, 1, 1] and one.spent == {"judge": 2}
    with pytest.raises(StepCreditError, match="at least 1"):
        told("capo", rollout(*STEPS), judge=judge, options={"k": 0})
