import pytest
from said import run, says
from worlds import WRITING, chain, models, sums

from stepcredit.errors import StepCreditError
from stepcredit.llm.scripted import Scripted
from stepcredit.search.policies.fobar import blend, masked


def test_the_example_of_the_spec():
    assert blend([6, 4], [2, 6]).round(4).tolist() == [0.4142, 0.5858]
    assert blend([6, 4], [2, 6], alpha=1.0).tolist() == [0.6, 0.4]
    assert blend([6, 4], [2, 6], alpha=0.0) == pytest.approx([0.25, 0.75])
    assert blend([6, 4], [0, 0]) == pytest.approx([0.5505, 0.4495], abs=1e-4)


def test_every_number_is_masked_in_turn():
    assert [n for _, n in masked("In 2 days 3.5 kg for $1,250.75, route B52.")] == ["2", "3.5", "1,250.75"]


def asked(prompt, recovered):
    """Forward 6 of 10 say 4; backward x is found again from the answers in `recovered`."""
    if "value of x" not in prompt:
        return None
    answer = prompt.rpartition("question above is ")[2].split(",")[0]
    return "Answer: 2" if answer in recovered else "Answer: 9"


def test_the_answer_from_which_the_question_is_found_again_wins():
    forward = ["Answer: 4"] * 6 + ["Answer: 5"] * 4
    model = Scripted(lambda p: asked(p, ["5"]) or forward[(len(model.asked) - 1) % 10])
    found = run("fobar", {"sampler": model.sampler}, "There are 2 pears, and 3 more.\n", n=10, backward=2)
    assert found.answer == "5" and found.ledger.calls == 10 + 2 * 2 * 2
    assert found.node.facts["backward"] == 2.0 and found.tree.nodes[1].facts["backward"] == 0.0
    assert "There are x pears, and 3 more.\nIf we know that the answer to the question above is 4" in model.asked[10]


def test_one_answer_or_no_number_is_not_asked_backwards():
    assert run("fobar", {"sampler": says("Answer: 4").sampler}, n=10).ledger.calls == 10
    two = says("Answer: 4", "Answer: 4", "Answer: 5")
    found = run("fobar", {"sampler": two.sampler}, "How many pears?\n", n=3)
    assert (found.answer, found.ledger.calls) == ("4", 3)


def test_where_not_all_answers_can_be_asked_the_answers_vote():
    (task,) = sums(1, seed=2)
    found = run("fobar", models(), task, writing=WRITING, n=12, limits={"calls": 20})
    assert found.ledger.calls <= 20 and found.node is not None
    assert "not every answer could be asked backwards: the answers vote" in found.notes


def test_it_is_no_search_for_live_environments():
    with pytest.raises(StepCreditError, match="live environment"):
        run("fobar", models(), chain())
    with pytest.raises(StepCreditError, match="alpha"):
        run("fobar", models(), alpha=2.0)
