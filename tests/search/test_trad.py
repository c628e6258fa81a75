import pytest
from said import lake, run, says

from stepcredit.errors import StepCreditError
from stepcredit.llm.drive import drive
from stepcredit.llm.scripted import Scripted
from stepcredit.search.bank import Solved, StepBank
from stepcredit.search.policies.trad import windows, with_thoughts

EXPERT = Solved(
    "another lake",
    ("go east", "go south", "go east", "go south"),
    ("row 1", "row 2", "row 2", "there"),
    ("the ice is free in the east", "turn to the goal below", "a hole is near so go around", "the goal is below me"),
)


def test_windows_are_cut_at_the_ends_and_joined_where_they_meet():
    assert windows([4], 6, 1, 2) == [[(3, -1), (4, 0), (5, 1)]]
    assert windows([0, 5], 6, 1, 1) == [[(0, 0), (1, 1)], [(4, -1), (5, 0)]]
    assert windows([], 6, 1, 1) == []


def test_a_thought_finds_steps_that_are_shown_with_their_order():
    task, way = lake()
    sampler = Scripted([f"{a}\n" for a in way])
    judge = Scripted({"": "a hole is near so go around"})
    bank = StepBank([EXPERT])
    found = run("trad", {"sampler": sampler.sampler, "judge": judge.judge}, task, bank=bank, k=1, history=1)
    assert [n.text for n in found.node.path] == way and found.node.outcome == 1.0
    assert found.tree.nodes[1].facts["examples"] == [[0, 2]]
    shown = "Example: another lake\n[-1] go south -> row 2\n[0] go east -> row 2\n[+1] go south -> there\n"
    assert sampler.asked[0].startswith(shown)
    assert "What you did last:\n[-1] go east -> You are at row 1, column 2." in sampler.asked[1]


def test_a_thought_that_failed_leaves_the_step_without_demonstrations():
    model = Scripted(lambda prompt: "Answer: 5")
    found = run("trad", {"sampler": model.sampler, "judge": lambda p: [None] * len(p)}, bank=StepBank([EXPERT]))
    assert found.answer == "5" and found.node.facts["thought"] is None and model.asked == ["What is 2 + 3?\n"]


def test_thoughts_are_asked_for_once_and_a_failed_one_drops_its_solution():
    bare = [Solved("p", ("a", "b")), Solved("q", ("c",)), EXPERT]
    judge = Scripted(
        lambda prompt: None if "task]]\nq" in prompt else "because " + prompt.split("]]\n")[-2].split("\n")[0]
    )
    ((_, bank),) = drive([with_thoughts(StepBank(bare))], {"judge": judge.judge})
    assert [one.thoughts for one in bank.solved[:1]] == [("because a", "because b")]
    assert bank.solved[1] is EXPERT or bank.solved[1] == EXPERT
    assert len(judge.asked) == 3 and len(bank.solved) == 2


def test_a_bank_without_thoughts_is_an_error():
    with pytest.raises(StepCreditError, match="with_thoughts"):
        run("trad", {"sampler": says("a\n").sampler, "judge": says("x").judge}, bank=StepBank([Solved("p", ("a",))]))


def test_how_many_neighbors_are_shown_is_told():
    sampler, judge = Scripted(lambda p: "Answer: 5"), says("a hole is near so go around").judge
    run("trad", {"sampler": sampler.sampler, "judge": judge}, bank=StepBank([EXPERT]), k=1, before=2, after=0)
    assert sampler.asked[0].startswith(
        "Example: another lake\n[-2] go east -> row 1\n[-1] go south -> row 2\n[0] go east"
    )
    assert "[+1]" not in sampler.asked[0]
