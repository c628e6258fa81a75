"""Judges of whole runs and of steps: what they are asked, how their replies are read, what becomes of none."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from judges import Answers, case_of, judged, run_of, tool_run

from stepcredit.data.records import Step
from stepcredit.diagnose import METHODS, diagnose
from stepcredit.diagnose.metrics import legacy, within
from stepcredit.diagnose.replay import plan_cost
from stepcredit.errors import StepCreditError, UnknownName
from stepcredit.llm.requests import BudgetSpent, Failed

GOLDENS = Path(__file__).parent / "goldens"
WHO_AND_WHEN = json.loads((GOLDENS / "who_and_when.json").read_text())
LABELED = json.loads((GOLDENS / "agentprocessbench_judge.json").read_text())
JUDGES = (
    "all_at_once",
    "step_by_step",
    "binary_search",
    "hybrid",
    "a2p",
    "agentprocessbench",
    "rubric",
    "checklist",
)
FOUND = "step: 4\nagent: Web_Surfer\nerror: wrong_reasoning\nreason: it divides by zero\nand goes on"
each_judge = pytest.mark.parametrize("name", JUDGES)


def current(prompt):
    """The step that a prompt of one step asks about."""
    return int(prompt.partition("newest step, step ")[2].split(",")[0].split(":")[0])


def any_judge(prompt):
    """Blames step 4, however it is asked."""
    if "Write a rubric" in prompt:
        return "Is right (4)\nIs short (1)"
    if "by each of the criteria" in prompt:
        wrong = current(prompt) == 4
        yes, no = ("1", "0") if "from 0 (not at all)" in prompt else ("yes", "no")
        n = int(prompt.rpartition("a line for each of the ")[2].split()[0])
        return "\n".join(f"{i + 1}: {no if wrong and i == 0 else yes}" for i in range(n))
    if "newest step" in prompt:
        return f"step: {'yes' if current(prompt) == 4 else 'no'}\nreason: looked"
    if "In which half" in prompt:
        first, mid = (int(x) for x in prompt.partition("Upper half: steps ")[2].split(".")[0].split(" to "))
        return "step: upper" if first <= 4 <= mid else "step: lower"
    if "Label every step" in prompt:
        return '{"labels": {"0":1,"1":0,"2":1,"3":1,"4":-1,"5":-1,"6":1,"7":0,"8":-1}, "reasons": {"4": "bad"}}'
    return FOUND


@each_judge
def test_every_judge_finds_the_step_that_it_is_told_of(name):
    verdict = judged(name, case_of(), Answers(any_judge))
    assert (verdict.status, verdict.step, verdict.agent) == ("found", 4, "Web_Surfer")
    assert verdict.confidence is None and verdict.evidence["calls"] >= 1 and verdict.evidence["replies"]
    known = verdict.scores[~np.isnan(verdict.scores)]
    assert verdict.scores[4] == known.max() and (known >= 0).all() and (known <= 1).all()


@each_judge
@pytest.mark.parametrize(
    "said",
    [
        None,
        ("",),
        ("I cannot help with that.",),
        ("<verdict0>",),
        ("<verdict0>step: 4",),
        ("Step Number: 4",),
        ("<think>step 4 is bad",),
        ("x" * 3_000_000,),
        ("<verdict0>step: NUMBER\nagent: NAME</verdict0>",),
        ("<verdict0>" * 20_000,),
        ("{" * 100_000,),
    ],
    ids=["none", "empty", "refusal", "open", "cut off", "lines", "thinking", "huge", "the form", "many tags", "braces"],
)
def test_what_cannot_be_read_is_no_verdict(name, said):
    verdict = judged(name, case_of(), Answers(lambda prompt: said), retries=0)
    assert verdict.status == "unknown" and verdict.step is None and np.isnan(verdict.scores).all()
    assert verdict.reason and len(str(verdict.evidence["replies"])) < 100_000


@each_judge
def test_a_reply_that_only_repeats_the_prompt_is_no_verdict(name):
    echo = Answers(lambda prompt: (prompt,))
    assert judged(name, case_of(), echo, retries=0).status == "unknown"


@each_judge
def test_a_run_without_steps_is_unknown_and_nobody_is_asked(name):
    judge = Answers(any_judge)
    assert judged(name, case_of(run_of(0)), judge).status == "unknown" and not judge.asked


@each_judge
def test_what_failed_is_asked_again_as_often_as_allowed(name):
    down = {"left": 1}

    def says(prompt):
        down["left"] -= 1
        return None if down["left"] >= 0 else any_judge(prompt)

    assert judged(name, case_of(), Answers(says), retries=1).step == 4
    down["left"] = 10_000
    assert judged(name, case_of(), Answers(says), retries=2).status == "unknown"


@each_judge
def test_votes_are_counted_and_failed_ones_are_no_votes(name):
    judge = Answers(any_judge)
    verdict = judged(name, case_of(), judge, votes=3)
    assert verdict.confidence == 1.0 and verdict.evidence["votes"] == {"4": 3}
    assert verdict.evidence["calls"] == len(judge.asked)


def test_the_majority_wins_the_earlier_of_equals_and_its_share_is_the_confidence():
    replies = iter(["step: 5\nagent: Coder\nreason: c", "step: 2\nreason: a", "step: none", "step: 5", None])
    verdict = judged("all_at_once", case_of(), Answers(lambda p: next(replies)), votes=5, retries=0)
    assert (verdict.step, verdict.confidence) == (5, 2 / 5)
    assert verdict.evidence["votes"] == {"5": 2, "2": 1, "clean": 1, "unknown": 1}
    assert verdict.scores[5] == 0.5 and verdict.scores[2] == 0.25
    replies = iter(["step: 5", "step: 2", "step: none", "step: 2", "step: 5", "step: none"])
    assert judged("all_at_once", case_of(), Answers(lambda p: next(replies)), votes=6).step == 2
    nobody = judged("all_at_once", case_of(), Answers(None), votes=2, retries=0)
    assert nobody.status == "unknown" and "none of 2 votes" in nobody.reason


@each_judge
@pytest.mark.parametrize("wrong", [{"votes": 0}, {"retries": -1}, {"cut": 10}, {"limit": 3}, {"temperature": 1}])
def test_options_that_make_no_sense_are_refused(name, wrong):
    with pytest.raises((StepCreditError, UnknownName)):
        judged(name, case_of(), Answers(any_judge), **wrong)


@each_judge
def test_seeds_draw_anew_and_equal_seeds_ask_the_same(name):
    class Door:
        def __init__(self):
            self.draws = []

        async def each(self, request):
            self.draws.append((request.prompt, request.draw))
            (reply,) = Answers(any_judge)([request.prompt])
            return reply

    doors = [Door() for _ in range(3)]
    for door, seed in zip(doors, (0, 0, 1), strict=True):
        judged(name, case_of(), door, seed=seed)
    assert doors[0].draws == doors[1].draws
    assert not {d for _, d in doors[0].draws} & {d for _, d in doors[2].draws}


@each_judge
def test_a_timeout_says_why_and_a_spent_budget_ends_in_unknown(name):
    class Down:
        async def each(self, request):
            return Failed("no answer within 60 s")

    verdict = judged(name, case_of(), Down())
    assert verdict.status == "unknown" and "60 s" in verdict.reason

    class Spent:
        async def each(self, request):
            raise BudgetSpent("the budget is spent")

    (one,) = diagnose([run_of()], [name], {"judge": Spent()})
    assert one.verdicts[name].status == "unknown" and one.verdicts[name].reason == "the budget is spent"


@each_judge
@pytest.mark.parametrize("n", [0, 1, 9])
def test_the_cost_stated_beforehand_is_the_most_that_is_asked(name, n):
    options = {"votes": 2, "retries": 1, "limit": 120}
    most = plan_cost(case_of(run_of(n)), name, options)["questions"]
    asked = []
    for says in (any_judge, lambda p: None, lambda p: "step: no" if "newest" in p else any_judge(p)):
        judge = Answers(says)
        judged(name, case_of(run_of(n)), judge, **options)
        asked.append(len(judge.asked))
    assert max(asked) <= most and most <= 2 * 2 * (n + 1) * 2


# All at once


def test_all_at_once_reads_step_agent_error_and_reason():
    judge = Answers(FOUND)
    verdict = judged("all_at_once", case_of(), judge)
    assert (verdict.error, verdict.reason) == ("wrong_reasoning", "it divides by zero\nand goes on")
    assert verdict.remarks == {4: verdict.reason} and verdict.scores.tolist() == [0, 0, 0, 0, 1, 0, 0, 0, 0]
    (prompt,) = judge.asked
    assert "[[0 step 4, Web_Surfer]]\nwords of step 4\n" in prompt and "42" in prompt and "The run failed." in prompt
    assert "- wrong_reasoning: " in prompt


def test_the_right_answer_and_the_outcome_are_told_or_not():
    judge = Answers(FOUND)
    judged("all_at_once@blind", case_of(), judge)
    assert "42" not in judge.asked[0] and "The run failed." in judge.asked[0]
    judged("all_at_once", case_of(run_of(outcome=1.0)), judge)
    assert "42" in judge.asked[1] and "The run succeeded." in judge.asked[1]
    judged("all_at_once", case_of(run_of(outcome=None, truth=None)), judge)
    assert not any(text in judge.asked[2] for text in ("The run succ", "The run failed", "right answer]]"))


def test_an_agent_the_log_does_not_know_is_replaced_by_who_took_the_step_and_kept():
    verdict = judged("all_at_once", case_of(), Answers("step: 2\nagent: Nobody"))
    assert verdict.agent == "Coder" and verdict.evidence["named"] == "Nobody"
    other = judged("all_at_once", case_of(), Answers("step: 2\nagent: planner (thought)"))
    assert other.agent == "Planner"
    assert judged("all_at_once", case_of(run_of(agents=None)), Answers("step: 2")).agent is None


def test_none_is_a_verdict_and_a_step_that_was_not_shown_is_not():
    clean = judged("all_at_once", case_of(), Answers("step: None\nreason: all fine"))
    assert (clean.status, clean.step, clean.reason) == ("clean", None, "all fine") and not clean.scores.any()
    beyond = judged("all_at_once", case_of(), Answers("step: 9"))
    assert beyond.status == "unknown" and "step 9" in beyond.reason


def test_an_error_type_that_there_is_not_is_none():
    assert judged("all_at_once", case_of(), Answers("step: 1\nerror: sheer folly")).error is None
    assert judged("all_at_once", case_of(), Answers("step: 1\nerror: Wrong-Reasoning")).error == "wrong_reasoning"


def test_a_later_answer_replaces_an_earlier_and_a_broken_one_does_not_leave_it_standing():
    two = "<verdict0>step: 1</verdict0> No: <verdict0>step: 3</verdict0>"
    assert judged("all_at_once", case_of(), Answers((two,))).step == 3
    broken = judged("all_at_once", case_of(), Answers((two + " or <verdict0>step: 5",)), retries=0)
    assert broken.status == "unknown" and "cut off" in broken.reason


def test_the_published_reading_of_who_and_when():
    """Steps without numbers; the agent ends at its first blank; the first number behind the label."""
    reply = "Agent Name: Web Surfer\nStep Number: 12 or 1\nReason for Mistake: It did\nnot look."
    judge = Answers((reply,))
    verdict = judged("all_at_once@who-and-when", case_of(run_of(20)), judge)
    assert (verdict.step, verdict.agent, verdict.reason) == (12, "Web", "It did\nnot look.")
    assert "[[0 Web_Surfer]]" in judge.asked[0] and "[[0 step" not in judge.asked[0]
    assert "counted from 0" in judge.asked[0] and "verdict0" not in judge.asked[0]
    scored = WHO_AND_WHEN["scoring"]
    assert verdict.step == scored["predicted"]
    assert within([verdict.step], [scored["actual"]]).tolist() == [scored["exact"]]
    assert legacy([verdict.step], [str(scored["actual"])]).tolist() == [scored["legacy"]]


@pytest.mark.parametrize("one", WHO_AND_WHEN["lines"], ids=lambda one: str(one["step"]))
def test_the_three_lines_are_read_as_the_published_code_does(one):
    for name in ("all_at_once@who-and-when", "a2p@official"):
        verdict = judged(name, case_of(run_of(20)), Answers((one["reply"],)))
        assert (verdict.step, verdict.agent) == (one["step"], one["agent"])


def test_a_long_run_is_asked_about_in_windows_and_the_earliest_blamed_step_counts():
    def says(prompt):
        if "steps 0 to" in prompt:
            return "step: none"
        first = int(prompt.partition("Shown are steps ")[2].split()[0])
        return f"step: {first}\nreason: from {first}"

    judge = Answers(says)
    long = run_of(12, texts={i: f"{i:>4}" * 25 for i in range(12)})
    verdict = judged("all_at_once", case_of(long), judge, limit=400)
    assert len(judge.asked) == 3 and (verdict.step, verdict.reason) == (4, "from 4")
    assert verdict.evidence["windows"] == [[0, 3, None], [4, 7, 4], [8, 11, 8]]
    lost = Answers(lambda p: None if "steps 4 to" in p else says(p))
    verdict = judged("all_at_once", case_of(long), lost, limit=400)
    assert verdict.status == "unknown" and np.isnan(verdict.scores).tolist() == [False] * 4 + [True] * 4 + [False] * 4


def test_a_long_text_is_cut_in_the_middle_and_the_verdict_says_so():
    long = run_of(3, texts={1: "a" * 500 + "END"})
    judge = Answers("step: 1")
    verdict = judged("all_at_once", case_of(long), judge, cut=100)
    assert "[... 403 characters left out ...]" in judge.asked[0] and "END" in judge.asked[0]
    assert verdict.evidence["cut"] == {"1": 403}
    assert "cut" not in judged("all_at_once", case_of(long), judge, cut=None).evidence


def test_tool_calls_replies_thoughts_and_the_system_prompt_are_shown():
    judge = Answers("step: 0")
    judged("all_at_once", case_of(tool_run()), judge)
    told = judge.asked[0]
    for text in (
        '[[0 step 0]]\n(thought) I must look first.\nfind({"place": "Rome"})\nask(who)',
        "[[0 reply to step 0, find]]\n(failed) no such place",
        "[[0 reply to step 0, ask]]\n4 people\n[1 images]",
        "[[0 before the first step, system]]\nBe polite.",
        "[[0 reply to step 1]]\nthanks",
    ):
        assert text in told
    assert told.count("Book a table.") == 1


# Step by step


def test_step_by_step_asks_in_order_and_ends_at_the_first_yes():
    judge = Answers(any_judge)
    verdict = judged("step_by_step", case_of(), judge)
    assert [current(p) for p in judge.asked] == [0, 1, 2, 3, 4]
    assert verdict.scores[:5].tolist() == [0, 0, 0, 0, 1] and np.isnan(verdict.scores[5:]).all()
    assert "words of step 3" in judge.asked[3] and "words of step 4" not in judge.asked[3]
    assert "failed" not in judge.asked[0]


def test_step_by_step_without_a_yes_is_clean():
    verdict = judged("step_by_step", case_of(run_of(3)), Answers("step: no"))
    assert verdict.status == "clean" and verdict.scores.tolist() == [0, 0, 0] and "none of 3 steps" in verdict.reason


def test_step_by_step_does_not_show_what_came_back_to_the_step_it_judges():
    judge = Answers("step: no")
    judged("step_by_step", case_of(tool_run()), judge)
    assert "no such place" not in judge.asked[0] and "no such place" in judge.asked[1]


def test_step_by_step_stops_where_it_cannot_read_and_the_published_reading_passes_on():
    def says(prompt):
        return (
            ("Well, yes",)
            if current(prompt) == 1
            else ("1. Yes.\n2. Reason: late",)
            if current(prompt) == 3
            else ("1. No.",)
        )

    passed = judged("step_by_step@who-and-when", case_of(), Answers(says), retries=0)
    assert (passed.step, passed.reason, list(passed.evidence["passed"])) == (3, "late", ["1"])
    assert math.isnan(passed.scores[1])
    stopped = judged("step_by_step", case_of(), Answers(says), retries=0, form="lines")
    assert stopped.status == "unknown" and "step 1" in stopped.reason and stopped.scores[0] == 0
    down = Answers(lambda p: None if current(p) == 1 else ("1. No.",))
    assert judged("step_by_step@who-and-when", case_of(), down).status == "unknown"


def test_step_by_step_leaves_out_the_oldest_steps_and_says_so():
    judge = Answers(any_judge)
    judged("step_by_step@blind", case_of(run_of(texts={i: f"{i}" * 60 for i in range(9)})), judge, limit=130)
    assert "Steps 0 to 2 are not shown" in judge.asked[4] and "2222" not in judge.asked[4] and "3333" in judge.asked[4]
    assert "42" not in judge.asked[0]


# Binary search


def test_binary_search_goes_as_in_the_worked_example():
    one = WHO_AND_WHEN["binary_search"]
    replies = iter(one["answers"])
    judge = Answers(lambda p: f"step: {next(replies)} half\nreason: so")
    verdict = judged("binary_search", case_of(run_of(one["steps"])), judge)
    assert verdict.step == one["step"] and [row[:3] for row in verdict.evidence["path"]] == one["path"]
    assert (
        len(judge.asked) <= plan_cost(case_of(), "binary_search", {"retries": 0})["questions"] == one["most_questions"]
    )
    assert verdict.scores.round(2).tolist() == [0.33, 0.33, 0.33, 1.0, 0.67, 0, 0, 0, 0]
    assert "words of step 4" in judge.asked[0] and "words of step 2" not in judge.asked[2]


@pytest.mark.parametrize("steps", [1, 2, 3, 9, 100])
def test_binary_search_asks_as_many_times_as_can_be_known_before(steps):
    for half in ("upper", "lower"):
        judge = Answers(f"step: {half}")
        verdict = judged("binary_search", case_of(run_of(steps)), judge)
        assert len(judge.asked) <= math.ceil(math.log2(steps))
        assert verdict.step == (0 if half == "upper" else steps - 1)


def test_the_published_binary_search_tosses_a_coin_where_it_cannot_read():
    judge = Answers(("Neither.",))
    runs = [judged("binary_search@who-and-when", case_of(), judge, seed=s) for s in range(30)]
    assert {v.status for v in runs} == {"found"} and len({v.step for v in runs}) > 3
    assert runs[0].evidence["path"][0][3] == "by chance"
    assert runs[0].step == judged("binary_search@who-and-when", case_of(), judge, seed=0).step
    assert judged("binary_search@who-and-when", case_of(), Answers(None)).status == "unknown"
    both = Answers(("The lower half, not the upper half.",))
    assert judged("binary_search@who-and-when", case_of(), both).step == 0
    assert "steps 0 to 4" in judge.asked[0] and "[[0 Planner]]" in judge.asked[0]


def test_binary_search_shrinks_texts_to_the_limit():
    judge = Answers("step: upper")
    judged("binary_search", case_of(run_of(8, texts={3: "a" * 5000})), judge, limit=600)
    shown = judge.asked[0].partition("[[0 step 0")[2].partition("[[0 end")[0]
    assert "characters left out" in shown and "words of step 7" in shown and len(shown) < 1000


# Hybrid


def test_hybrid_goes_through_the_steps_of_the_agent_alone():
    judge = Answers(any_judge)
    verdict = judged("hybrid", case_of(), judge)
    assert [current(p) for p in judge.asked[1:]] == [1, 4]
    assert verdict.evidence["agent"] == "Web_Surfer" and verdict.evidence["steps"] == [1, 4, 7]
    assert np.isnan(verdict.scores[[0, 2, 3]]).all()


def test_hybrid_needs_an_agent_of_the_run():
    verdict = judged("hybrid", case_of(run_of(agents=None)), Answers("step: 1\nagent: Coder"))
    assert verdict.status == "unknown" and "Coder" not in (verdict.agent or "")
    assert judged("hybrid@blind", case_of(), Answers("step: none")).status == "clean"
    lines = judged("hybrid", case_of(), Answers(("Agent Name: Coder\nStep Number: 2\n",)), form="lines", unread="pass")
    assert lines.status == "unknown" and lines.evidence["steps"] == [2, 5, 8]


# A2P


def test_a2p_asks_for_the_three_stages_and_numbers_every_line():
    judge = Answers(FOUND)
    judged("a2p", case_of(), judge, turns="2 or 3", words=80, tell=False)
    (prompt,) = judge.asked
    assert prompt.index("Abduct") < prompt.index("Act. ") < prompt.index("Predict") < prompt.index("[[0 step 0")
    assert "next 2 or 3 steps" in prompt and "at most 80 words" in prompt and "42" not in prompt


def test_a2p_as_published_reads_three_lines():
    judge = Answers(("Agent Name: Coder\nStep Number: 5\nReason for Mistake: had it checked",))
    verdict = judged("a2p@official", case_of(), judge)
    assert (verdict.step, verdict.agent, verdict.reason) == (5, "Coder", "had it checked")
    assert "[[0 step 5, Coder]]" in judge.asked[0]


# AgentProcessBench


def labeled(text, n=5, **options):
    return judged(options.pop("name", "agentprocessbench"), case_of(run_of(n)), Answers(text), **options)


def test_labels_give_scores_and_the_first_wrong_step():
    verdict = labeled(
        '{"labels": {"0": 1, "1": "0", "2": "+1", "3": -1, "4": 1}, "final": -1, "reasons": {"3": " x "}}'
    )
    assert verdict.scores.tolist() == [0, 0.5, 0, 1, 0] and verdict.step == 3 and verdict.reason == "x"
    assert verdict.evidence["labels"] == [1, 0, 1, -1, 1] and verdict.evidence["final"] == [-1]
    clean = labeled('{"labels": {"0": 1, "1": 0, "2": 1, "3": 1, "4": 1}}')
    assert clean.status == "clean" and clean.evidence["final"] == [None]


def test_a_missing_label_is_not_judged_and_zero_in_the_published_reading():
    text = '{"step_labels": {"0": 1, "1": 2, "2": true, "3": [1]}, "final_label": 1}'
    here = labeled(text)
    assert here.status == "unknown" and "4 of 5 steps" in here.reason and np.isnan(here.scores[1:]).all()
    official = labeled((f"Fine.\n```json\n{text}\n```",), name="agentprocessbench@official")
    assert official.status == "clean" and official.scores.tolist() == [0, 0.5, 0.5, 0.5, 0.5]
    known = labeled('{"labels": {"2": -1}}')
    assert known.step == 2 and np.isnan(known.scores[[0, 1, 3, 4]]).all()


@pytest.mark.parametrize("one", LABELED["cases"], ids=lambda one: str(one["labels"]))
def test_labels_are_read_as_the_published_code_does(one):
    verdict = labeled((one["reply"],), n=3, name="agentprocessbench@official")
    assert verdict.evidence["labels"] == one["labels"]
    assert verdict.step == (one["labels"].index(-1) if -1 in one["labels"] else None)


def test_errors_are_carried_on_by_code_until_a_step_corrects_them():
    text = '{"labels": {"0": 1, "1": -1, "2": 1, "3": 1, "4": 0}, "corrects": ["3", true]}'
    here = labeled(text, name="agentprocessbench@carried")
    assert here.evidence["labels"] == [1, -1, -1, 1, 0]
    assert labeled(text).evidence["labels"] == [1, -1, 1, 1, 0]
    judge = Answers(text)
    judged("agentprocessbench@carried", case_of(run_of(5)), judge, tell=True)
    assert "corrects" in judge.asked[0] and "42" in judge.asked[0]


def test_long_runs_are_labeled_in_windows():
    def says(prompt):
        first, last = (int(x) for x in prompt.partition("each of the steps ")[2].split(",")[0].split(" to "))
        if first == 4:
            return None
        return '{"labels": {' + ", ".join(f'"{t}": {-1 if t == 9 else 1}' for t in range(first, last + 1)) + "}}"

    long = run_of(12, texts={i: f"{i:>4}" * 25 for i in range(12)})
    verdict = judged("agentprocessbench", case_of(long), Answers(says), limit=400)
    assert verdict.step == 9 and list(verdict.evidence["failed"]) == ["4-7"] and np.isnan(verdict.scores[4:8]).all()


# Rubric and checklist


def test_the_rubric_is_written_once_and_the_worst_step_is_to_blame():
    judge = Answers(any_judge)
    verdict = judged("rubric", case_of(), judge, points=5, most=2)
    assert len(judge.asked) == 10 and verdict.scores[4] == pytest.approx(0.8) and verdict.scores[0] == 0
    assert verdict.evidence["rubric"] == [["Is right", 4.0], ["Is short", 1.0]] and "Is right" in verdict.reason
    assert "all points together are 5. At most 2 items" in judge.asked[0] and "42" in judge.asked[0]


def test_the_rubric_of_yours_is_weighted_and_sound_steps_are_clean():
    grades = Answers(lambda p: "1: 0.4; 2: n/a" if current(p) == 1 else "1: 1.0\n2: 0.5")
    verdict = judged("rubric", case_of(run_of(3)), grades, items=["Good (3)", "Short (1)"], tell=False)
    assert verdict.step == 1 and verdict.scores.round(3).tolist() == [0.125, 0.6, 0.125]
    assert "42" not in grades.asked[0]
    kind = judged("rubric", case_of(run_of(3)), grades, items="Good (3),Short (1)", sound=0.4)
    assert kind.status == "clean" and kind.evidence["grades"][1] == [0.4, None]
    with pytest.raises(StepCreditError):
        judged("rubric", case_of(), grades, sound=2)


def test_a_rubric_that_cannot_be_written_is_no_verdict():
    verdict = judged("rubric", case_of(), Answers("nothing (0)"))
    assert verdict.status == "unknown" and verdict.reason.startswith("no rubric")


def test_a_step_that_was_not_graded_leaves_it_open_only_where_no_worse_one_is_known():
    judge = Answers(lambda p: None if current(p) == 0 else "1: 0.1" if current(p) == 2 else "1: 1")
    assert judged("rubric", case_of(run_of(3)), judge, items=["Good"]).step == 2
    judge = Answers(lambda p: None if current(p) == 0 else "1: 1")
    assert judged("rubric", case_of(run_of(3)), judge, items=["Good"]).status == "unknown"


def test_the_checklist_blames_the_first_step_that_fails_more_than_is_tolerated():
    def says(prompt):
        t = current(prompt)
        return "1: yes; 2: " + ("no" if t in (1, 3) else "n/a") + "; 3: " + ("No" if t == 3 else "yes")

    items = ["One holds.", "Two holds.", "Three holds."]
    verdict = judged("checklist", case_of(run_of(5)), Answers(says), items=items)
    assert verdict.step == 1 and verdict.reason == "not so: Two holds."
    assert verdict.scores.round(3).tolist() == [0, 0.333, 0, 0.667, 0]
    assert judged("checklist", case_of(run_of(5)), Answers(says), items=items, tolerate=1).step == 3
    assert judged("checklist", case_of(run_of(5)), Answers(says), items=items, tolerate=2).status == "clean"
    judge = Answers(says)
    judged("checklist", case_of(run_of(5)), judge, items=items, tell=True)
    assert "42" in judge.asked[0]
    with pytest.raises(StepCreditError):
        judged("checklist", case_of(), Answers(says), tolerate=-1)
    with pytest.raises(StepCreditError, match="no items"):
        judged("checklist", case_of(), Answers(says), items=[])


@pytest.mark.parametrize("said", ["1: yes", "1: yes; 1: no; 2: no", "1: yes; 3: no", "1: 0.5; 2: 1", "1 yes 2 no"])
def test_a_checklist_that_leaves_out_repeats_or_grades_is_not_read(said):
    verdict = judged("checklist", case_of(run_of(2)), Answers(said), items=["One.", "Two."])
    assert verdict.status == "unknown" and np.isnan(verdict.scores).all()


def test_grades_above_one_are_not_read():
    assert judged("rubric", case_of(run_of(1)), Answers("1: 1.5"), items=["One"]).status == "unknown"


@each_judge
def test_names_that_are_no_text_and_empty_texts_do_no_harm(name):
    given = run_of(9, agents=(7, None, True))
    given.steps[3] = Step()
    verdict = judged(name, case_of(given), Answers(any_judge))
    assert verdict.status in ("found", "unknown", "clean")


def published(prompt):
    """Blames step 4 in the forms of the published codes, where a prompt asks for those."""
    said = any_judge(prompt)
    if "Agent Name: NAME" in prompt:
        return ("Agent Name: Web_Surfer\nStep Number: 4\nReason for Mistake: x",)
    if "1. Yes or No." in prompt:
        return ("1. Yes.\n2. Reason: x" if "step: yes" in said else "1. No.",)
    if 'Answer with "upper half"' in prompt:
        return (said.removeprefix("step: ") + " half",)
    return (f"```json\n{said}\n```",) if "```json block" in prompt else said


@pytest.mark.parametrize("name", [n for n in METHODS.names(presets=True) if n.partition("@")[0] in JUDGES])
def test_every_preset_finds_the_step_that_it_is_told_of(name):
    verdict = judged(name, case_of(), Answers(published), retries=0)
    assert (verdict.status, verdict.step, verdict.agent) == ("found", 4, "Web_Surfer")


def test_long_runs_are_graded_in_parts():
    judge = Answers(lambda p: "1: " + ("no" if current(p) == 70 else "yes"))
    assert judged("checklist", case_of(run_of(90)), judge, items=["Fine."]).step == 70 and len(judge.asked) == 90


def test_every_judge_stands_on_the_shelf_with_its_card():
    for name in (*JUDGES, "correct"):
        planner = METHODS.get(name)
        assert planner.card.asks == ("judge",) and planner.card.cost and planner.card.departures
