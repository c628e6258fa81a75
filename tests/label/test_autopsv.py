"""AutoPSV: a step is wrong where the verifier's confidence falls by half; after it all are."""

import numpy as np
import pytest
from given import labelled, rollout

from stepcredit.data.records import Step, Tokens
from stepcredit.errors import StepCreditError


class Verifier:
    """Scores by the number of lines read: of the prefix, and of it with the step."""

    def __init__(self, **scores):
        self.scores, self.asked = scores, []

    def scorer(self, prefixes, steps):
        self.asked += steps
        return [self.scores[s or "task"] for s in steps]


def test_the_first_fall_by_half_is_the_first_error():
    """Worked example of the notes, paper form: .6 .66 .70 .30 .12."""
    scores = Verifier(task=0.6, a=0.66, b=0.70, c=0.30, d=0.12)
    one = labelled("autopsv", rollout(*"abcd"), {"scorer": scores.scorer})
    assert one.label.tolist() == [1, 1, 0, 0] and one.first_error == 2 and one.spent == {"score": 5}
    assert one.value.tolist() == [0.66, 0.70, 0.30, 0.12]
    assert labelled("autopsv", rollout(*"abcd"), {"scorer": scores.scorer}, theta=-0.59).first_error == 3


def test_the_code_compares_a_step_s_first_token_with_its_last():
    """Worked example of the notes, code form."""
    first, last = (0.6, 0.65, 0.30, 0.12), (0.66, 0.70, 0.10, 0.10)
    scores = Verifier(
        **dict(zip("abcd", first, strict=True)), **{f"{w} x": v for w, v in zip("abcd", last, strict=True)}
    )
    model = {"scorer": scores.scorer}
    one = labelled("autopsv@code", rollout("a x", "b x", "c x", "d x"), model)
    assert one.label.tolist() == [1, 1, 0, 0] and one.first_error == 2 and one.spent == {"score": 8}
    steps = [Step(text="s", tokens=Tokens(value=[u, 0.9, v])) for u, v in zip(first, last, strict=True)]
    held = labelled("autopsv@code", rollout(*steps), {}, source="evidence")
    assert held.label.tolist() == [1, 1, 0, 0] and held.spent == {}


def test_a_fall_of_exactly_theta_counts_in_the_paper_and_not_in_the_code():
    assert labelled("autopsv", rollout("a"), {"scorer": Verifier(task=0.5, a=0.25).scorer}).first_error == 0
    halved = Verifier(a=0.5, **{"a x": 0.25})
    assert labelled("autopsv@code", rollout("a x"), {"scorer": halved.scorer}).first_error == -1


def test_scores_outside_0_to_1_are_held_there_and_one_at_0_has_nothing_to_fall():
    wild = Verifier(task=1.7, a=0.6, b=-0.3, c=-0.2)
    one = labelled("autopsv", rollout(*"abc"), {"scorer": wild.scorer})
    assert one.first_error == 1 and one.value.tolist() == [0.6, 0, 0]
    assert labelled("autopsv", rollout("c", "a"), {"scorer": Verifier(task=-0.1, a=0.6, c=0.5).scorer}).first_error == 0


def test_values_of_the_steps_do_without_a_scorer_and_what_is_missing_is_not_judged():
    def step(**values):
        return Step(text="s", evidence=values)

    one = labelled("autopsv@evidence", rollout(step(value=0.6), step(value=0.7), step(value=0.3, next_value=0.1)), {})
    assert one.label.tolist() == [1, 0, 0] and one.value.tolist() == [0.7, 0.3, 0.1]
    open_ = labelled("autopsv@evidence", rollout(step(value=0.6), step(value=0.7)), {})
    np.testing.assert_array_equal(open_.label, [1, np.nan])
    assert open_.first_error is None and open_.reasons == (None, "its value and next_value are not known")


def test_a_score_that_failed_leaves_both_steps_that_need_it_unjudged():
    one = labelled("autopsv", rollout(*"abc"), {"scorer": Verifier(task=0.5, a=float("nan"), b=0.5, c=0.5).scorer})
    np.testing.assert_array_equal(one.label, [np.nan, np.nan, 1])
    assert one.first_error is None and one.reasons == ("the scorer gave no number",) * 2 + (None,)


def test_theta_is_a_fall():
    with pytest.raises(StepCreditError):
        labelled("autopsv", rollout("a"), {"scorer": Verifier(task=1, a=1).scorer}, theta=0.5)
