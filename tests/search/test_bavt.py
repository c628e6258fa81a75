import re

import numpy as np
import pytest
from said import lake, run, says, texts

from stepcredit.errors import StepCreditError
from stepcredit.llm.scripted import Scripted
from stepcredit.search import Writing
from stepcredit.search.policies.bavt import budget_weights, enough_steps

SHORT = Writing(max_tokens=10)


def gains(table):
    """A critic that knows the gain of steps; what is no number cannot be read."""

    def reply(prompt):
        steps = re.findall(r"\[\[\d+ step \d+\]\]\n(.*)", prompt)
        return f"Gain: {table.get(steps[-1], -1)}" if steps else "two searches"

    return Scripted(reply).judge


@pytest.mark.parametrize(
    ("left", "wants"),
    [
        (1.0, [0.2105, 0.3684, 0.4211]),
        (0.5, [0.1240, 0.3798, 0.4961]),
        (0.2, [0.0202, 0.3322, 0.6476]),
        (0.1, [0.0008, 0.2081, 0.7911]),
        (1e-9, [0, 0, 1]),
        (0.0, [0, 0, 1]),
    ],
)
def test_the_less_is_left_the_more_goes_to_the_best(left, wants):
    assert budget_weights(np.array([4.0, 7.0, 8.0]), left) == pytest.approx(wants, abs=5e-5)


def test_the_bound_of_the_spec():
    assert (enough_steps(3, 0.5, 0.1), enough_steps(5, 0.4, 0.05)) == (23, 42)


def test_a_useful_step_is_deepened_a_useless_one_is_not():
    sampler = Scripted(lambda p: "Answer: 5" if "useful\n" in p else ["useless\n", "useful\n"][len(sampler.asked) % 2])
    models = {"sampler": sampler.sampler, "judge": gains({"useful": 4, "Answer: 5": 3})}
    found = run("bavt", models)
    assert found.answer == "5" and [n.text for n in found.node.path] == ["useful", "Answer: 5"]
    values = {n.text: (n.value, n.kept) for n in found.tree.nodes[1:]}
    assert values["useful"] == (9.0, True) and values["Answer: 5"] == (10.0, True)
    assert not any(n.children for n in found.tree.nodes if n.text == "useless")
    assert sampler.asked[0].startswith("Plan:\ntwo searches\n\n")


def test_the_answer_is_forced_while_it_still_fits():
    sampler = Scripted(lambda p: " 7" if p.endswith("Answer:") else "on\n")
    models = {"sampler": sampler.sampler, "judge": gains({"on": 1})}
    found = run("bavt", models, writing=SHORT, limits={"calls": 4}, plan=False)
    assert (found.answer, found.stopped, found.ledger.calls) == ("7", "done", 4)
    assert found.node.facts["forced"] and found.node.parent.value == max(n.value for n in found.tree.nodes[:-1])
    tight = run("bavt", models, writing=SHORT, limits={"tokens": 25}, plan=False, reserve=5)
    assert tight.answer == "7" and tight.ledger.tokens <= 25


def test_a_value_that_is_high_enough_is_answered_at_once():
    sampler = Scripted(lambda p: " 7" if p.endswith("Answer:") else "on\n")
    models = {"sampler": sampler.sampler, "judge": gains({"on": 4})}
    assert texts(run("bavt", models, answer_at=9.0)) == ["on", "Answer: 7"]


def test_an_answer_that_is_a_loss_ends_the_search_unless_checked():
    judge = gains({"Answer: 4": -3, "Answer: 5": 0})
    found = run("bavt", {"sampler": says("Answer: 4", "Answer: 5").sampler, "judge": judge})
    assert found.answer == "4" and len(found.tree.nodes) == 2
    found = run("bavt@checked", {"sampler": says("Answer: 4", "Answer: 5").sampler, "judge": judge})
    assert found.answer == "5" and [n.value for n in found.tree.root.children] == [2.0, 5.0]


def test_a_critic_that_failed_opens_nothing():
    sampler = Scripted(lambda p: " 7" if p.endswith("Answer:") else "on\n")
    found = run("bavt", {"sampler": sampler.sampler, "judge": gains({"on": "much"})}, most=3)
    assert {n.status for n in found.tree.root.children} == {"failed", "missing"} and found.answer == "7"
    assert "names no Gain" in found.tree.nodes[1].reason


def test_it_acts_in_a_live_environment_within_its_tool_calls():
    task, way = lake()
    judge = gains({"go east": 1, "go south": 1})
    sampler = Scripted(lambda p: way[min(p.count("\ngo "), 3)] + "\n")
    found = run("bavt", {"sampler": sampler.sampler, "judge": judge}, task, limits={"tool": 30})
    assert found.node.outcome == 1.0 and found.ledger.tool <= 30
    few = run("bavt", {"sampler": sampler.sampler, "judge": judge}, task, limits={"tool": 3})
    assert few.node is None and few.ledger.tool == 3


def test_values_must_be_positive():
    with pytest.raises(StepCreditError, match="0 < low"):
        run("bavt", {"sampler": says("x").sampler, "judge": says("x").judge}, low=0.0)
