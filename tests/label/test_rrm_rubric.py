"""RRM: a rubric per task, a score per solution, what is right and not verified."""

import numpy as np
from judged_work import Says, rollout, told

from stepcredit.ops.tries import best_of

RUBRIC = "<rubric>\nSets up x (4)\nSolves it (6)\n</rubric>"


def test_the_score_is_points_over_the_maximum():
    judge = Says(RUBRIC, "<total>7.5/10</total>", "<total>2/10</total>")
    given = [rollout("a", "b", name=i, outcome=1.0, gold="the reference way") for i in range(2)]
    sound, lucky = told("rrm_rubric", *given, judge=judge)
    assert np.array_equal(sound.label, [np.nan, 0.75], equal_nan=True)
    assert (sound.facts["verified"], lucky.facts["verified"]) == (True, False)
    assert sound.facts["rubric"] == [["Sets up x", 4.0], ["Solves it", 6.0]]
    assert "the reference way" in judge.asked[0] and "the reference way" not in judge.asked[1]
    assert "Sets up x (4)" in judge.asked[1] and len(judge.asked) == 3


def test_verified_pass_at_2_of_8_samples():
    """methods/rrm-rubric, worked example: 4 right, 1 verified; by `facts`."""
    judge = Says(RUBRIC, "<total>9/10</total>", "<total>1/10</total>")
    given = [rollout("a", name=i, outcome=float(i < 4)) for i in range(8)]
    found = told("rrm_rubric", *given, judge=judge)
    verified = sum(one.facts["verified"] for one in found)
    assert verified == 1
    assert round(float(best_of(2, 4, 8, unbiased=True)), 4) == 0.7857
    assert best_of(2, verified, 8, unbiased=True) == 0.25


def test_steps_alone_and_the_product():
    judge = Says(RUBRIC, "<total>9/10</total>", "<total>3/10</total>")
    (one,) = told("rrm_rubric@steps", rollout("a", "b"), judge=judge)
    assert one.label.tolist() == [1, 0] and one.first_error == 1 and "step 2 alone" in judge.asked[2]
    judge = Says(RUBRIC, "<total>9/10</total>")
    (one,) = told("rrm_rubric@product", rollout("a", outcome=0.0), judge=judge)
    assert one.label.tolist() == [0] and one.value.tolist() == [0.9]


def test_what_cannot_be_read_is_asked_for_three_times_more_and_is_then_not_judged():
    judge = Says(RUBRIC, "good")
    (one,) = told("rrm_rubric", rollout("a", outcome=1.0), judge=judge)
    assert np.isnan(one.label).all() and len(judge.asked) == 5 and one.facts["verified"] is None
    (one,) = told("rrm_rubric", rollout("a"), judge=Says("no rubric"))
    assert one.reasons[0].startswith("no rubric: ") and one.spent == {"judge": 4}
