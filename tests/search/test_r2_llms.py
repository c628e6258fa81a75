import pytest
from said import run, says, scorer

from stepcredit.errors import StepCreditError
from stepcredit.llm.drive import drive
from stepcredit.llm.scripted import Scripted
from stepcredit.search import Writing
from stepcredit.search.bank import Solved, StepBank
from stepcredit.search.policies.r2_llms import with_templates
from stepcredit.search.tree import Tree
from stepcredit.search.uct import back_up, descend

BANK = StepBank(
    [
        Solved("4 + 4?", ("add four and four", "Answer: 8"), template="sum of two numbers"),
        Solved("area of a disc?", ("square the radius",), template="area of a figure"),
    ]
)


def test_the_backup_of_the_spec_is_the_mean_of_two_visits():
    tree = Tree()
    child = tree.add(tree.root, "chosen")
    for value in (0.5, 0.7, float("nan")):
        back_up(child, value)
    assert (child.value, child.visits, tree.root.value) == (pytest.approx(0.6), 2, pytest.approx(0.6))


def test_the_way_down_passes_by_what_has_no_value():
    tree = Tree()
    best, unknown = tree.add(tree.root, "best"), tree.add(tree.root, "unknown")
    back_up(best, 0.1)
    assert descend(tree.root, 1.0) is best
    assert unknown.visits == 0


def models(worth=None):
    """With an example of a sum before the task the model adds rightly."""
    right = Scripted(lambda p: "Answer: 5" if "add four and four   <- key step" in p else "Answer: 6")
    return {
        "sampler": right.sampler,
        "scorer": scorer(worth or {"Answer: 5": 0.7, "Answer: 6": 0.4}),
        "judge": says("sum of two numbers").judge,
    }, right


def test_examples_are_found_for_the_task_and_for_the_step():
    given, model = models()
    found = run("r2_llms", given, "add 2 and 3\n", bank=BANK, iterations=2, expand=2, problems=1, floor=0.1)
    assert found.answer == "5" and found.ledger.judge == 1
    assert model.asked[0].startswith("Example: 4 + 4?\nadd four and four\nAnswer: 8\n\nA similar step:\n4 + 4?\n")
    assert found.tree.root.visits == 2 and found.tree.nodes[1].facts["examples"] == [[0, 0]]


def test_below_the_floor_no_step_is_shown_and_the_task_itself_never():
    given, model = models()
    found = run("r2_llms", given, "4 + 4?\n", bank=BANK, iterations=1, expand=1, problems=1, floor=0.9)
    assert found.answer == "6" and "Example: area of a disc?" in model.asked[0]


def test_problems_may_be_found_by_their_text_without_a_judge():
    given, model = models()
    del given["judge"]
    run("r2_llms@by-problem", given, "the area of a disc of 3\n", bank=BANK, iterations=1, expand=1, problems=1)
    assert model.asked[0].startswith("Example: area of a disc?")


def test_a_draft_may_be_what_finds_the_step():
    given, _ = models()
    tries = iter(["we add four and four\n", "Answer: 5"])
    given["sampler"] = Scripted(lambda p: next(tries)).sampler
    found = run("r2_llms@draft-key", given, "Q\n", bank=BANK, iterations=1, expand=1)
    assert found.answer == "5" and not found.tree.nodes[1].kept
    assert found.tree.nodes[2].facts["examples"] == [[0, 0]]


def test_where_nothing_is_complete_the_best_beginning_is_completed():
    given, _ = models({"a": 0.1, "b": 0.9})
    given["sampler"] = says("a\n", "b\n", "c\nAnswer: 5").sampler
    found = run("r2_llms", given, "Q\n", bank=BANK, iterations=1, expand=2)
    assert found.text == "b\nc\nAnswer: 5"


def test_templates_are_asked_for_once():
    judge = Scripted(lambda prompt: None if "task]]\nq" in prompt else "a kind")
    bank = StepBank([Solved("p", ("a",)), Solved("q", ("b",)), *BANK.solved])
    ((_, made),) = drive([with_templates(bank)], {"judge": judge.judge})
    assert [one.template for one in made.solved] == ["a kind", "sum of two numbers", "area of a figure"]
    with pytest.raises(StepCreditError, match="with_templates"):
        run("r2_llms", models()[0], bank=bank)


def test_a_vote_adds_up_the_scores_of_equal_answers():
    for policy, answer in (("r2_llms", "1"), ("r2_llms@vote", "2")):
        given, _ = models({"Answer: 1": 0.7, "Answer: 2": 0.6, "so Answer: 2": 0.5})
        given["sampler"] = says("Answer: 1", "Answer: 2", "so Answer: 2").sampler
        manner = Writing(answer=lambda text: text[-1])
        assert run(policy, given, "Q\n", bank=BANK, iterations=1, expand=3, steps=0, writing=manner).answer == answer
