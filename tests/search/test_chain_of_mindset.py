import pytest
from said import lake, run, says

from stepcredit.errors import StepCreditError
from stepcredit.llm.scripted import Scripted

STEPS = ["so <algorithmic>17 * 23</algorithmic>\n", "Answer: 391"]


def test_a_calculation_comes_back_as_an_insight():
    sampler = Scripted(lambda p: STEPS["gives 391" in p])
    mindset = says("```python\ndef solve():\n    return 17 * twenty_three\n```", "def solve():\n    return 17 * 23")
    gate = Scripted(lambda p: p.split("what was thought]]\n")[1].split("\n")[0] if "Distill" in p else "17 and 23")
    found = run(
        "chain_of_mindset", {"sampler": sampler.sampler, "judge": mindset.judge, "gate": gate.judge}, gate_by="gate"
    )
    assert found.answer == "391" and found.ledger.judge == 4
    assert found.tree.nodes[1].observation == "The calculation gives 391."
    assert found.tree.nodes[1].facts == {"mode": "algorithmic"}
    assert "17 and 23" in mindset.asked[0] and "the code failed" in mindset.asked[1]
    assert sampler.asked[1].endswith("</algorithmic>\nThe calculation gives 391.\n")


def test_several_sides_come_back_together_without_a_gate():
    sampler = Scripted(lambda p: "Answer: 5" if "one two" in p else "<divergent>how?</divergent>\n")
    models = {"sampler": sampler.sampler, "judge": says("one", "two").judge}
    found = run("chain_of_mindset@no-gate", models, branches=2)
    assert found.tree.nodes[1].observation == "one two" and found.ledger.judge == 2 and found.answer == "5"


def test_a_call_that_failed_says_so():
    models = {"sampler": says("<convergent>why?\n", "Answer: 5").sampler}
    found = run("chain_of_mindset", {**models, "judge": says(None).judge})
    assert found.tree.nodes[1].observation == "The convergent mindset failed." and found.answer == "5"


def test_actions_are_no_thoughts():
    models = {"sampler": says("x").sampler, "judge": says("x").judge}
    with pytest.raises(StepCreditError, match="actions"):
        run("chain_of_mindset", models, lake()[0])
