"""SCAN: who is asked nothing, and the soft labels in front of the error."""

import numpy as np
import pytest
from given import Completer, labelled, rollout

from stepcredit.errors import StepCreditError
from stepcredit.label.labels import NONE


def task(*steps, right=13, of=16):
    """A wrong solution among others of its task."""
    rest = [rollout("x", outcome=float(i < right), name=i + 1) for i in range(of - 1)]
    return [rollout(*steps), *rest]


def test_labels_in_front_of_the_error_are_divided_by_the_self_confidence():
    """The worked examples of the notes: SC = 13 of 16 = 0.8125, values (1, .875, .5, .25, 0)."""
    model = Completer(0, 8, 7, 4, 2, 0, 0)
    one = labelled("scan", task(*"abcdef"), {"sampler": model.sampler})[0]
    np.testing.assert_allclose(one.label, [1, 1, 0.615385, 0.307692, 0], atol=1e-6)
    assert one.first_error == 4 and model.asked == [1, 2, 3, 4, 5] and one.facts == {"ability": 0.8125, "kept": True}
    two = labelled("scan", task("a", "b", "c"), {"sampler": Completer(0, 7, 0, 0).sampler})[0]
    assert two.label.tolist() == [1.0, 0.0] and two.value.tolist() == [0.875, 0.0]
    lone = labelled("scan", task("a"), {"sampler": Completer(0, 8).sampler})[0]
    assert lone.label.tolist() == [0.0] and lone.spent == {}


def test_without_the_rescaling_values_stand_and_without_a_window_what_is_before_is_right():
    model = {"sampler": Completer(0, 8, 7, 4, 2, 0, 0).sampler}
    plain = labelled("scan", task(*"abcdef"), model, rescale=False)[0]
    assert plain.label.tolist() == [1, 1, 0.5, 0.25, 0]
    assert labelled("scan@plain", task(*"abcdef"), model)[0].label.tolist() == [1, 1, 1, 1, 0]


def test_right_solutions_and_tasks_that_are_too_hard_cost_nothing():
    model = Completer(*[4] * 4)
    right = labelled("scan", task("a"), {"sampler": model.sampler})[1]
    assert right.label.tolist() == [1.0] and right.first_error == NONE
    hard = labelled("scan", task("a", "b", right=8), {"sampler": model.sampler})
    assert {one.facts["reason"] for one in hard} == {"the task is solved too rarely"}
    assert all(np.isnan(one.label).all() and one.facts["kept"] is False for one in hard) and model.asked == []


def test_completions_of_the_task_may_tell_the_self_confidence():
    one = labelled("scan", rollout("a", "b", "c"), {"sampler": Completer(7, 4, 0, 0).sampler}, samples=8)
    assert one.facts["ability"] == 0.875 and one.label.tolist() == [4 / 7, 0.0]


def test_what_is_not_known_or_failed_is_not_judged():
    unknown = labelled("scan", rollout("a", outcome=None), {"sampler": Completer(4, 4).sampler})
    assert unknown.facts["reason"] == "its outcome is not known" and np.isnan(unknown.label).all()
    failed = labelled("scan", task("a", "b", "c"), {"sampler": Completer(0, 8, None, 0).sampler})[0]
    np.testing.assert_array_equal(failed.label, [1, np.nan, np.nan])
    assert failed.first_error is None and failed.facts["reason"] == "the sampler did not answer"
    with pytest.raises(StepCreditError):
        labelled("scan", rollout("a"), {"sampler": Completer(0, 8).sampler}, width=-1)
