"""What judges say is read as it stands, or not at all; who is meant by it; what is said of what could not be read.
About 2 s."""

import numpy as np
import pytest
from judges import Answers, case_of, judged, run_of, tag_in
from test_judges import any_judge, current, each_judge

from stepcredit.data.records import Rollout, Step
from stepcredit.diagnose import Case, Group, diagnose
from stepcredit.diagnose._judging import known_agent, step_in
from stepcredit.diagnose._per_step import read_grades
from stepcredit.diagnose.replay import plan_cost
from stepcredit.errors import StepCreditError
from stepcredit.evidence._prompts import Unreadable

# Grades


@pytest.mark.parametrize(
    ("said", "grades"),
    [
        ("1: 0.6666666667", [0.6666666667]),
        ("1: 0.9999999", [0.9999999]),
        ("1: 1.0\n\n2) .5; 3. n/a", [1.0, 0.5, np.nan]),
        ("- **1**: 0.25\n* 2: 1.\n  3: `0`  ", [0.25, 1.0, 0.0]),
        ("2: N/A\n1: 0.", [0.0, np.nan]),
        ("1: YES.\n2: no.", [1.0, 0.0]),
    ],
)
def test_grades_are_read_as_they_stand(said, grades):
    assert read_grades(said, len(grades), yes_no=False) == pytest.approx(grades, nan_ok=True)


@pytest.mark.parametrize(
    "said",
    [
        *("1: 0,9", "1: 1/10", "1: -1.0", "1: -0.5", "1: 2.0", "1: 0.5%", "1: 1e-3", "1: 5", "1: 50%", "1: 1.5"),
        *("1.0", "0.7", "1: yes, because", "1: 1 of 2", "1: 1 / 10", "1: +1", "1: 0.5 0.7", "1: 1..5", "1: ", "1: ٣"),
        *("1: 1; and so on", "grades:\n1: 1", "1: 1\n2: 1", "1: 1\n1: 1", "", "1: maybe", "1: 0.5.5"),
    ],
)
def test_what_is_no_grade_is_no_guess(said):
    with pytest.raises(Unreadable):
        read_grades(said, 1, yes_no=False)


def test_a_grade_that_cannot_be_read_is_asked_again_and_then_not_judged():
    tries = []

    def says(prompt):
        tries.append(current(prompt))
        return "1: 1/10" if current(prompt) == 1 or tries.count(0) < 2 else "1: 1"

    verdict = judged("rubric", case_of(run_of(3)), Answers(says), items=["Good"], retries=1)
    assert tries.count(0) == 2 and tries.count(1) == 2
    assert verdict.status == "unknown" and verdict.scores.tolist()[0] == 0 and np.isnan(verdict.scores[1])


# Replies that are no text


@each_judge
@pytest.mark.parametrize("reply", [None, [], True, 3.0, {"a": 1}, b"x"], ids=repr)
def test_a_door_that_gives_no_text_is_told_what_is_wrong(name, reply):
    class Door:
        async def each(self, request):
            return reply

    with pytest.raises(StepCreditError, match=r"the judge gave .*; expected its reply as text"):
        list(diagnose([run_of(3)], [name], {"judge": Door()}))


def test_a_function_that_gives_no_text_is_told_what_is_wrong():
    with pytest.raises(StepCreditError, match=r"the judge gave 3\.5; expected"):
        list(diagnose([run_of(3)], ["all_at_once"], {"judge": lambda prompts: [3.5 for _ in prompts]}))


def test_none_may_end_in_a_point():
    assert [step_in(x, 0, 9) for x in ("None.", "none", "**None.**", "3.")] == [None, None, None, 3]
    assert judged("all_at_once", case_of(), Answers("step: None.")).status == "clean"


# Who is meant

SPEAKERS = ("Orchestrator (thought)", "Web", "Orchestrator (stop)")


def test_of_speakers_with_one_name_the_one_who_took_the_step_is_to_blame():
    case = case_of(run_of(6, agents=SPEAKERS))
    for step, agent in ((0, SPEAKERS[0]), (2, SPEAKERS[2])):
        assert judged("all_at_once", case, Answers(f"step: {step}\nagent: orchestrator")).agent == agent
    exact = judged("all_at_once", case, Answers(f"step: 0\nagent: {SPEAKERS[2]}"))
    assert exact.agent == SPEAKERS[0] and exact.evidence["named"] == SPEAKERS[2]
    assert judged("all_at_once", case, Answers("step: 1\nagent: Orchestrator")).agent == SPEAKERS[0]
    assert known_agent(case, SPEAKERS[2]) == SPEAKERS[2] and known_agent(case, "Orchestrator") == SPEAKERS[0]
    assert known_agent(case, None) is None and known_agent(case, "Nobody") is None


def test_hybrid_goes_through_all_steps_of_an_agent_whatever_stands_behind_its_name():
    judge = Answers(lambda p: f"step: {'yes' if current(p) == 5 else 'no'}" if "newest" in p else "step: 0")
    verdict = judged("hybrid", case_of(run_of(6, agents=SPEAKERS)), judge)
    assert verdict.evidence["steps"] == [0, 2, 3, 5] and (verdict.step, verdict.agent) == (5, SPEAKERS[2])


# Replies that count as a no


def test_the_published_reading_of_a_run_of_which_no_reply_can_be_read_is_no_verdict():
    verdict = judged("step_by_step@who-and-when", case_of(run_of(3)), Answers(("whatever",)))
    assert verdict.status == "unknown" and "none of the judge's replies on 3 steps" in verdict.reason
    assert list(verdict.evidence["passed"]) == ["0", "1", "2"] and np.isnan(verdict.scores).all()


def test_replies_that_were_passed_over_are_counted_in_the_reason():
    judge = Answers(lambda p: ("1. No.",) if current(p) == 1 else ("whatever",))
    verdict = judged("step_by_step@who-and-when", case_of(run_of(3)), judge)
    assert verdict.status == "clean"
    assert verdict.reason == (
        "the judge finds none of 3 steps wrong; its replies on 2 of them could not be read and count as a no"
    )
    whole = judged("step_by_step@who-and-when", case_of(run_of(3)), Answers(("1. No.",)))
    assert whole.reason == "the judge finds none of 3 steps wrong"


def test_the_only_step_is_to_blame_without_a_question_or_a_confidence():
    judge = Answers(any_judge)
    for votes in (1, 3):
        verdict = judged("binary_search", case_of(run_of(1)), judge, votes=votes)
        assert (verdict.status, verdict.step, verdict.confidence) == ("found", 0, None) and not judge.asked
        assert "it is the only step; nobody was asked" in verdict.reason
    assert judged("binary_search", case_of(run_of(2)), Answers("step: upper"), votes=3).confidence == 1.0
    assert judged("binary_search", case_of(run_of(2)), Answers("step: upper")).reason is None


# Labels


@pytest.mark.parametrize(
    "said",
    ['{"foo": 1}', '{"labels": [1, 1, -1]}', "{}", '{"labels": {"7": -1}}', '{"labels": {"0": 0.5, "1": true}}'],
)
def test_a_reply_without_any_label_is_asked_again_and_then_not_read(said):
    judge = Answers(said)
    verdict = judged("agentprocessbench", case_of(run_of(3)), judge, retries=1)
    assert len(judge.asked) == 2 and verdict.status == "unknown" and "none of the steps" in verdict.reason
    replies = iter([said, '{"labels": {"0": 1, "1": -1, "2": 1}}'])
    assert judged("agentprocessbench", case_of(run_of(3)), Answers(lambda p: next(replies)), retries=1).step == 1
    official = judged("agentprocessbench", case_of(run_of(3)), Answers(said), missing="neutral", retries=1)
    assert official.status == "clean" and official.evidence["labels"] == [0, 0, 0]


def test_labels_may_be_written_with_a_point():
    verdict = judged("agentprocessbench", case_of(run_of(3)), Answers('{"labels": {"0": 1.0, "1": -1.0, "2": 0.0}}'))
    assert verdict.evidence["labels"] == [1, -1, 0] and verdict.step == 1
    half = judged("agentprocessbench", case_of(run_of(2)), Answers('{"labels": {"0": 0.5, "1": 1}}'))
    assert half.evidence["labels"] == [None, 1]


def test_a_window_of_a_long_run_without_a_label_was_not_judged():
    def says(prompt):
        return '{"labels": {"0": 1, "1": 1}}'  # of the first window alone

    verdict = judged(
        "agentprocessbench", case_of(run_of(4, texts=dict.fromkeys(range(4), "x" * 60))), Answers(says), limit=120
    )
    assert list(verdict.evidence["failed"]) == ["2-3"] and verdict.scores[:2].tolist() == [0, 0]


# The rubric


def test_a_grade_that_is_just_sound_is_sound_and_one_below_is_not():
    for grade, status in (("0.5", "clean"), ("0.4999", "found")):
        verdict = judged("rubric", case_of(run_of(2)), Answers(f"1: {grade}"), items=["Good"], sound=0.5)
        assert verdict.status == status


def test_a_step_to_which_no_item_applies_is_not_to_blame():
    judge = Answers(lambda p: "1: n/a\n2: n/a" if current(p) == 0 else "1: 0.75\n2: n/a")
    verdict = judged("rubric", case_of(run_of(2)), judge, items=["Good", "Short"], sound=0.8)
    assert verdict.scores.tolist() == [0.0, 0.25] and verdict.step == 1
    assert judged("rubric", case_of(run_of(2)), Answers("1: n/a"), items=["Good"], sound=1.0).status == "clean"


# CDC-MAS


def two(outcome, success=0.5):
    steps = [Step(text="foo", agent="A"), Step(text="bar", agent="B")]
    run = Rollout(group=0, rollout=0, task="t", outcome=outcome, steps=steps)
    return Case(Group([run], success=success), 0)


def chances(a, b, both, steps):
    def says(prompt):
        what = prompt.partition("Suppose that ")[2].partition(" had been right")[0]
        known = {"every step that agent 1 took": a, "every step that agent 2 took": b}
        known["every step that agent 1 and agent 2 took"] = both
        return f"chance: {known.get(what, steps)}"

    return Answers(says)


@pytest.mark.parametrize(("outcome", "success"), [(-1.0, 0.5), (0.0, 0.5), (0.4, 0.5), (30.0, 50.0)])
def test_a_run_that_failed_had_no_chance_as_it_was_whatever_its_outcome(outcome, success):
    verdict = judged("cdc_mas", two(outcome, success), chances(0.1, 0.2, 0.35, 0.3))
    assert verdict.evidence["values"]["nobody"] == 0
    assert verdict.evidence["shapley"] == pytest.approx([0.125, 0.225])
    assert verdict.evidence["blame"] == pytest.approx([0.125 * 0.1, 0.225 * 0.2])
    assert (verdict.agent, verdict.step) == ("B", 1) and verdict.scores[1] == pytest.approx(0.3)
    assert (
        verdict.confidence == pytest.approx(0.045 / 0.0575) and "raises the chance of success by 30%" in verdict.reason
    )


def test_corrections_of_no_use_are_no_blame_and_one_that_harms_the_others_is_none():
    none = judged("cdc_mas", two(0.4), chances(0, 0, 0, 0.3))
    assert none.status == "unknown" and "putting no agent right" in none.reason
    harmful = judged("cdc_mas", two(0.0), chances(0.05, 0.6, 0.1, 0.3))  # phi of A is -0.225
    assert harmful.evidence["shapley"][0] < 0 and harmful.evidence["blame"][0] < 0
    assert harmful.agent == "B" and harmful.confidence == 1.0


def test_a_run_of_unknown_outcome_is_unknown_and_nobody_is_asked():
    judge = chances(0.1, 0.2, 0.35, 0.3)
    verdict = judged("cdc_mas", two(None), judge)
    assert plan_cost(two(None), "cdc_mas") == {} != plan_cost(two(0.0), "cdc_mas")
    assert verdict.status == "unknown" and "outcome of the run is not known" in verdict.reason and not judge.asked


def test_each_coalition_is_a_question_of_its_own_where_names_read_alike():
    judge = Answers("chance: 0.5")
    judged("cdc_mas", case_of(run_of(2, agents=("A [1]", "A  1"))), judge)
    assert len(set(judge.asked)) == len(judge.asked) and tag_in(judge.asked[0]) == "verdict0"
    assert "agent 1: A 1\nagent 2: A 1\n" in judge.asked[0]
    assert "by their numbers in the list" in judge.asked[0] and "in the list" not in judge.asked[-1]


@pytest.mark.parametrize("said", ["0.6666666667", "66.66666667%", ".6666666667"])
def test_a_chance_may_have_many_digits(said):
    verdict = judged("cdc_mas", two(0.0), Answers(f"chance: {said}"))
    assert verdict.evidence["values"]["A"] == pytest.approx(0.666667, abs=1e-6)
