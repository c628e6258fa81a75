import numpy as np
import pytest
from said import lake, run, says, texts

from stepcredit.errors import StepCreditError
from stepcredit.llm.scripted import Scripted
from stepcredit.search.bank import Solved, StepBank


def bank(likeness):
    """A bank of steps whose likeness to everything is given (the spec's example)."""
    table = {f"s{i}": [x, (1 - x * x) ** 0.5] for i, x in enumerate(likeness)}
    return StepBank([Solved("known", tuple(table))], lambda texts: np.array([table.get(t, [1.0, 0.0]) for t in texts]))


def test_the_most_alike_step_is_shown_where_it_is_alike_enough():
    model = Scripted(lambda prompt: "second\n" if "<- key step" in prompt else "first\n")
    found = run("booststep", {"sampler": model.sampler}, bank=bank([0.41, 0.73, 0.66]), limits={"calls": 2})
    assert texts(found) == ["first", "second"] and not found.tree.nodes[1].kept
    assert found.tree.nodes[2].facts == {"example": [0, 1], "likeness": 0.73}
    assert "A similar problem:\nknown\ns0\ns1   <- key step\ns2" in model.asked[1]


def test_without_an_example_the_first_try_stays_and_the_code_asks_twice():
    for policy, calls in (("booststep", 1), ("booststep@code", 2)):
        found = run(policy, {"sampler": says("Answer: 5").sampler}, bank=bank([0.41, 0.73]), floor=0.8)
        assert (found.answer, found.ledger.calls) == ("5", calls)


@pytest.mark.parametrize("stuck", [["a\n", "a\n"], ["a\n", "b\n", "c\n"]])
def test_a_stuck_solution_is_answered_in_one_go(stuck):
    found = run("booststep", {"sampler": says(*stuck, "x\nAnswer: 5").sampler}, bank=bank([0.1]), most=2)
    assert found.answer == "5" and found.text == "x\nAnswer: 5"


def test_it_acts_in_a_live_environment():
    task, way = lake()
    steps = StepBank([Solved("another lake", tuple(way))])
    model = says(*[f"{a}\n" for a in way for _ in range(2)])
    found = run("booststep", {"sampler": model.sampler}, task, bank=steps)
    assert [n.text for n in found.node.path] == way and found.node.outcome == 1.0
    assert found.tree.nodes[2].facts["example"] == [0, 0]


def test_it_needs_a_bank():
    with pytest.raises(StepCreditError, match="no bank"):
        run("booststep", {"sampler": says("a\n").sampler})
