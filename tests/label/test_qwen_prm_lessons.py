"""Qwen2.5-Math-PRM: kept where completions and judge agree on the first error; VL-PRM: where the judge decides."""

import numpy as np
import pytest
from given import Completer, labelled, rollout

from stepcredit.data.records import Step
from stepcredit.evidence._prompts import Unreadable
from stepcredit.label._judge_first import first_error_prompt, read_first_error, story
from stepcredit.label.labels import NONE
from stepcredit.label.run import SYSTEMS
from stepcredit.label.systems.qwen_prm_lessons import sections_of
from stepcredit.label.work import Work
from stepcredit.llm.scripted import Scripted

ABCD = tuple("abcd")


def says(*numbers):
    """A judge who names these first wrong steps in turn, from 1; 0 = none; None = no answer; a text is a text."""
    return Scripted(
        [n if n is None or isinstance(n, str) else f"<first_wrong>{n or 'none'}</first_wrong>" for n in numbers]
    )


def ask(found, judged, outcome=0.0, system="qwen_prm_lessons", **options):
    """found: first prefix that no completion saves, from 0."""
    right = [4] * 5 if found is None else [4] * (found + 1) + [0] * (4 - found)
    judge = says(*judged)
    models = {"sampler": Completer(*right).sampler, "judge": judge.judge}
    return labelled(system, rollout(*ABCD, outcome=outcome), models, **options), judge


@pytest.mark.parametrize(
    "found, judged, outcome, label",
    [
        (2, 3, 0.0, [1, 1, 0, np.nan]),
        (None, 0, 1.0, [1, 1, 1, 1]),
        (1, 4, 0.0, None),
        (0, 1, 0.0, [0, np.nan, np.nan, np.nan]),
        (None, 2, 1.0, None),
        (None, 4, 0.0, [1, 1, 1, 0]),
    ],
)
def test_solutions_are_kept_where_both_name_the_same_step(found, judged, outcome, label):
    """The worked example of the notes (three of its four are kept), a right answer by a wrong way, and a wrong answer
    whose prefixes are all saved: its last step is the first error."""
    one, _ = ask(found, [judged], outcome)
    np.testing.assert_array_equal(one.label, label or [np.nan] * 4)
    assert one.facts["kept"] is (label is not None)
    assert label is not None or one.facts["reason"] == "annotators disagree on the first error" == one.reasons[0]


def test_prefixes_behind_the_first_lost_one_are_not_completed():
    model = Completer(4, 4, 4, 0, 0)
    labelled("qwen_prm_lessons", rollout(*ABCD), {"sampler": model.sampler, "judge": says(3).judge})
    assert model.asked == [1, 2, 3]


def test_soft_labels_are_the_values():
    one, _ = ask(2, [3], kind="soft")
    np.testing.assert_array_equal(one.label, [0.5, 0.5, 0, np.nan])


@pytest.mark.parametrize("reply", [None, "I cannot tell.", "<first_wrong>7</first_wrong>"])
def test_a_judge_who_does_not_say_is_asked_again_as_often_as_wanted_and_then_nothing_is_judged(reply):
    one, judge = ask(2, [reply, reply], retries=1)
    assert np.isnan(one.label).all() and one.facts["kept"] is False and one.facts["judge"] is None
    assert len(judge.asked) == 2 and one.spent["judge"] == 2 and one.reasons[0]
    again, _ = ask(2, [reply, 3], retries=1)
    assert again.first_error == 2


def test_the_judge_is_not_asked_where_completions_failed():
    judge = says()
    models = {"sampler": Completer(4, 4, None, 4, 4).sampler, "judge": judge.judge}
    one = labelled("qwen_prm_lessons", rollout(*ABCD), models)
    assert judge.asked == [] and one.facts["reason"] == "the sampler did not answer"


def test_the_prompt_tells_the_steps_and_the_answer_only_where_it_is_to():
    work = Work(rollout(Step(text="first", observation="seen"), "second"), "the answer 24", ())
    assert "result of step 1]]\nseen" in first_error_prompt(story(work))
    assert "the answer 24" not in first_error_prompt(story(work))
    assert "the answer 24" in first_error_prompt(story(work, tell=True))
    with pytest.raises(Unreadable):
        read_first_error(first_error_prompt(story(work)), 2)
    assert read_first_error("<first_wrong>None</first_wrong>", 2) == NONE


def test_in_vl_prm_the_step_that_the_judge_names_stands_and_none_where_completions_find_none():
    """The classes of VL-PRM300K: wrong to the judge, whatever completions say; right to both."""
    assert [ask(f, [j], o, "vl_prm")[0].first_error for f, j, o in ((1, 3, 0.0), (None, 2, 1.0), (None, 0, 1.0))] == [
        2,
        1,
        NONE,
    ]
    dropped, _ = ask(1, [0], 0.0, "vl_prm")
    assert dropped.first_error is None and dropped.facts["kept"] is False
    assert SYSTEMS.get("vl_prm").options["n"] == 16


def test_sections_are_told_by_headings_and_not_by_sentences():
    steps = [
        "[Visual Elements]",
        "a grid",
        "1. [Reasoning]\nso",
        "Reasoning about angles gives 3.",
        "**Perception:** b",
    ]
    assert sections_of(["Hello", *steps]) == [None, "perception", "perception", "reasoning", "reasoning", "perception"]
    one, _ = ask(2, [3], system="vl_prm")
    assert one.facts["sections"] == [None] * 4
