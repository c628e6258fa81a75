import re

import numpy as np
import pytest
from said import lake, run

from stepcredit.llm.scripted import Scripted
from stepcredit.search.policies.prism import (
    capped,
    particle_weights,
    read_verdicts,
    verdict_score,
)
from stepcredit.search.weighing import effective_size, systematic

SCORES = np.array([1, 0.75, 0.15, 0])


def judge(verdicts, choice="A"):
    """Knows the verdicts on solutions by their last line; all lines before it are right."""

    def reply(prompt):
        if "Their answers differ" in prompt:
            return f"Choice: {choice}"
        steps = re.findall(r"\[\[\d+ step \d+\]\]\n(.*)", prompt)
        said = verdicts.get(steps[-1])
        if said is None:
            return "hard to say"
        lines = [f"Step {k}: +1" for k in range(1, len(steps))]
        return "\n".join([*lines, f"Step {len(steps)}: {said}", f"FINAL ANSWER CHECK: {said}"])

    return Scripted(reply)


def test_the_numbers_of_the_spec():
    w = particle_weights(SCORES)
    assert w == pytest.approx([1, 0.6630, 0.0665, 0], abs=5e-5)
    assert effective_size(w) == pytest.approx(2.0715, abs=5e-5)
    assert systematic(w, 4, 0.4).tolist() == [0, 0, 1, 1]
    assert particle_weights(np.array([0.2]))[0] == pytest.approx(0.1003, abs=5e-5)
    assert [round(verdict_score(3, 1, 1, f), 3) for f in (1, -1, 0, None)] == [0.85, 0.21, 0.42, 0.56]
    assert verdict_score(0, 0, 0, None) == 0.4


def test_weights_that_are_all_zero_are_drawn_in_turn():
    assert systematic(np.zeros(3), 3, 0.6).tolist() == [0, 1, 2] and effective_size(np.zeros(3)) == 0


def test_no_solution_has_more_copies_than_allowed():
    rng = np.random.default_rng(0)
    drawn = capped(np.array([0, 0, 0, 0, 1, 1]), 2, rng)
    assert np.bincount(drawn).max() <= 2 and drawn[:2].tolist() == [0, 0]
    equal = capped(np.array([0, 1, 0, 1]), 2, rng, ["same", "same", "b", "c"])
    assert sorted(equal.tolist())[2:] == [2, 3] or sum(i < 2 for i in equal.tolist()) == 2


def test_a_reply_is_read_line_by_line_and_its_last_verdict_counts():
    said = read_verdicts("Step 1: +1\nStep 2 - 3+1 is wrong: -1\nStep 2: 0\nFinal answer check: **-1**", 3)
    assert said.steps[:2].tolist() == [1, 0] and np.isnan(said.steps[2]) and said.final == -1
    assert read_verdicts("Step 1: the sum is 3+1\nStep 9: +1", 2) is None


def test_what_is_wrong_is_rewritten_and_a_perfect_solution_is_left():
    sampler = Scripted(lambda p: "so\nAnswer: 5" if "what was found" in p else "so\nAnswer: 6")
    verdicts = judge({"Answer: 6": "-1", "Answer: 5": "+1"})
    found = run("prism", {"sampler": sampler.sampler, "judge": verdicts.judge}, n=3, rounds=2)
    assert found.answer == "5" and found.node.score == 1.0
    assert found.ledger.calls == 6 and found.ledger.judge == len(verdicts.asked) == 2
    assert "Step 2: -1" in sampler.asked[3] and "Step 1: +1" not in sampler.asked[3]


def test_of_two_perfect_answers_the_judge_says_which():
    for choice, answer, score in (("A", "1", 1.0), ("B", "2", 1.0), ("NEITHER", "2", 0.3)):
        sampler = Scripted({"what was found": "Answer: 9", "": ["Answer: 1", "Answer: 2"]})
        verdicts = judge({"Answer: 1": "+1", "Answer: 2": "+1", "Answer: 9": "-1"}, choice)
        found = run("prism", {"sampler": sampler.sampler, "judge": verdicts.judge}, n=2, rounds=1, seed=1)
        assert (found.answer, found.node.score) == (answer, score), choice


def test_a_solution_whose_verdict_failed_does_not_vote():
    sampler = Scripted({"what was found": "Answer: 1", "": ["Answer: 1", "Answer: 1", "Answer: 2"]})
    verdicts = judge({"Answer: 2": "-1"})
    models = {"sampler": sampler.sampler, "judge": verdicts.judge}
    found = run("prism", models, n=3, rounds=0)
    assert found.answer == "2" and found.tree.nodes[1].status == "failed"
    assert np.isnan(found.tree.nodes[2].score) and found.tree.nodes[2].reason
    coded = run("prism@code", models, n=3, rounds=0)
    assert coded.tree.nodes[1].score == 1e-6 and coded.tree.nodes[1].facts["unread"]


def test_a_spent_budget_still_votes():
    sampler = Scripted({"what was found": "Answer: 5", "": "Answer: 6"})
    verdicts = judge({"Answer: 6": "-1", "Answer: 5": "+1"})
    found = run("prism", {"sampler": sampler.sampler, "judge": verdicts.judge}, n=2, limits={"calls": 2})
    assert (found.answer, found.stopped) == ("6", "budget")


def test_it_acts_in_a_live_environment():
    task, way = lake()
    sampler = Scripted(lambda p: way[min(p.rsplit(" end]]", 1)[-1].count("\ngo "), 3)] + "\n")
    found = run("prism", {"sampler": sampler.sampler, "judge": judge({way[-1]: "+1"}).judge}, task, n=2, rounds=1)
    assert found.node.outcome == 1.0 and found.ledger.tool == 8


def test_few_good_solutions_take_the_places_of_many_bad_ones_but_not_all():
    sampler = Scripted({"what was found": "Answer: 9", "": ["x\nAnswer: 1", *["x\nAnswer: 2"] * 9]})
    verdicts = judge({"Answer: 1": "+1", "Answer: 2": "-1", "Answer: 9": "-1"})
    models = {"sampler": sampler.sampler, "judge": verdicts.judge}
    found = run("prism", models, n=10, rounds=1, copies=0.4)
    assert found.answer == "1" and found.ledger.calls == 10 + 6
    sampler.asked.clear()
    assert run("prism", models, n=10, rounds=1, ess=0.0).ledger.calls == 10 + 9


def test_another_method_is_asked_for_as_often_as_told():
    for noise, times in ((1.0, 2), (0.0, 0)):
        sampler = Scripted({"what was found": "Answer: 5", "": "Answer: 6"})
        verdicts = judge({"Answer: 6": "-1", "Answer: 5": "+1"})
        run("prism", {"sampler": sampler.sampler, "judge": verdicts.judge}, n=2, rounds=1, noise=noise)
        assert sum("clearly different method" in p for p in sampler.asked) == times


def test_the_loser_of_an_arbitration_keeps_what_is_told():
    sampler = Scripted({"what was found": "Answer: 9", "": ["Answer: 1", "Answer: 2"]})
    verdicts = judge({"Answer: 1": "+1", "Answer: 2": "+1", "Answer: 9": "-1"}, "NEITHER")
    models = {"sampler": sampler.sampler, "judge": verdicts.judge}
    found = run("prism", models, n=2, rounds=1, clamp=0.1, ess=0.0)
    assert [n.score for n in found.tree.nodes[1:3]] == [0.1, 0.1]
