import pytest
from said import lake, run, says

from stepcredit.errors import StepCreditError
from stepcredit.llm.scripted import Scripted


def critic(right):
    """Calls right what has this answer."""

    def reply(prompt):
        said = prompt.split("\nAnswer: ")[1][0]
        return f"Correctness of the final answer: {'Correct' if said == right else 'Wrong'}. Add again."

    return Scripted(reply)


def models(first, then, right="5"):
    sampler = Scripted({"attempt 1": then, "": first})
    judge = critic(right)
    return {"sampler": sampler.sampler, "judge": judge.judge}, sampler, judge


def test_each_solution_is_refined_with_its_critique_and_the_last_versions_vote():
    given, sampler, judge = models(["Answer: 6", "Answer: 7", "Answer: 6"], "Answer: 5")
    found = run("critique_refine", given, n=3)
    assert found.answer == "5" and (found.ledger.calls, found.ledger.judge) == (6, 3)
    assert "Answer: 6" in sampler.asked[3] and "Add again." in sampler.asked[3]
    assert found.tree.nodes[1].score == 0 and len(judge.asked) == 3


def test_only_what_is_called_wrong_is_refined():
    given, *_ = models(["Answer: 6", "Answer: 5"], "Answer: 5")
    found = run("critique_refine", given, n=2, only_wrong=True)
    assert found.ledger.calls == 3 and found.answer == "5"


def test_refcritic_votes_without_what_is_called_wrong():
    given, *_ = models(["Answer: 6", "Answer: 6", "Answer: 5"], "Answer: 6")
    assert run("refcritic", given, n=3).answer == "5"
    assert run("critique_refine", given, n=3, only_wrong=True).answer == "6"
    hopeless, *_ = models(["Answer: 6", "Answer: 7", "Answer: 6"], ["Answer: 6", "Answer: 7"])
    assert run("refcritic", hopeless, n=3).answer == "6"


def test_all_versions_of_one_solution_vote():
    given, *_ = models("Answer: 4", ["Answer: 5", "Answer: 5", "Answer: 9"])
    found = run("critique_refine@sequential", given, rounds=3)
    assert found.answer == "5" and run("critique_refine@self", models("Answer: 4", "Answer: 9")[0]).answer == "9"


def test_without_a_critic_the_attempts_are_the_history():
    sampler = Scripted({"attempt 3": "Answer: 5", "attempt 2": "Answer: 8", "attempt 1": "Answer: 7", "": "Answer: 6"})
    found = run("critique_refine@exit", {"sampler": sampler.sampler}, rounds=3)
    assert found.answer == "5" and found.ledger.judge == 0
    assert "clearly different" not in sampler.asked[-1]
    run("critique_refine@exit", {"sampler": sampler.sampler}, rounds=1, diverge=1.0)
    assert "clearly different" in sampler.asked[-1]
    with pytest.raises(StepCreditError, match="critic"):
        run("critique_refine@exit", {"sampler": sampler.sampler}, only_wrong=True)


def test_a_solution_whose_critique_failed_stays_and_still_votes():
    sampler = says("Answer: 6")
    found = run("refcritic", {"sampler": sampler.sampler, "judge": says("no verdict").judge}, n=2)
    assert found.answer == "6" and found.ledger.calls == 2
    assert {n.status for n in found.tree.leaves()} == {"failed"}


def test_it_acts_in_a_live_environment():
    task, way = lake()
    sampler = Scripted(lambda p: way[min(p.rsplit("You are at row 1, column 1.", 1)[1].count("\ngo "), 3)] + "\n")
    judge = says("Correctness of the final answer: Correct").judge
    found = run("critique_refine", {"sampler": sampler.sampler, "judge": judge}, task, n=1)
    assert found.node.outcome == 1.0 and found.ledger.tool == 8
