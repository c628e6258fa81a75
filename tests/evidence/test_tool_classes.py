"""Classes of tool calls, and the reward made of them."""

import json

import numpy as np
import pytest
from judged_batches import Scripted, batch, call, rollout, tree

import stepcredit as sc
from stepcredit.data.records import ToolCall
from stepcredit.errors import MissingColumn, StepCreditError
from stepcredit.evidence import get
from stepcredit.evidence.tool_classes import cost, steps_reward, tool_classes

nan = np.nan


def said(*classes):
    return f"<classes>{json.dumps(classes)}</classes>"


def run(name, outcome, *steps):
    return rollout(name, *steps, outcome=outcome, task="Who wrote Dune?")


def searching():
    two = sc.Step(text="both", tool_calls=[ToolCall(name="search"), ToolCall(name="open", arguments={"url": "x"})])
    return batch(
        run(0, 1.0, call("search", q="Dune"), two, "It is Herbert."),
        run(1, 0.0, call("search", q="Dune"), call("open", url="y")),
        run(2, None, call("search", q="Dune")),
        run(3, 1.0, "I know."),
    )


REPLIES = (
    said("unique_search", "redundant_search", "exploration"),
    said("redundant_search", "verification"),
    said("unique_search"),
)


def test_labels():
    judge = Scripted(*REPLIES)
    made = tool_classes(searching(), judge)
    np.testing.assert_array_equal(made["label"], [1, 0, nan, -1, 1, 1, nan])
    assert len(judge.prompts) == 3 and "reward.steps" not in made and made["outcome"].tolist()[0] == 1
    assert 'call 1]]\nsearch({"q": "Dune"})' in judge.prompts[0] and "result of call 1]]\nfound" in judge.prompts[0]


def test_the_reward_by_hand():
    """Right: 1 of 2 searches unique, 1 of 1 queries of use: .25 * .5 + .25 * 1. Wrong: nothing explored: 0."""
    made = tool_classes(searching(), Scripted(*REPLIES), into="reward.steps")
    np.testing.assert_allclose(made["reward.steps"], [0.375, 0.0, nan, 0.0])
    assert made["outcome"].tolist()[:2] == [1, 0]
    kind = get("tool_classes@fathom")
    made = kind.function(searching(), Scripted(*REPLIES), **kind.options)
    np.testing.assert_allclose(made["outcome"], [1.375, 0.0, nan, 1.0])
    np.testing.assert_array_equal(made["reward.outcome"], [1, 0, nan, 1])


FIVE = ["verification"] * 5 + ["exploration"] + ["redundant_query"] * 2


@pytest.mark.parametrize(
    ("classes", "options", "want"),
    [
        (FIVE, {"right": True}, 0.25 * (1 + 3) / 8),
        (FIVE, {"right": True, "most_verifications": 1, "depth": 1.0}, (1 + 1) / 8),
        (["unique_search"] * 3 + ["redundant_search"], {"right": True, "breadth": 2.0}, 1.5),
        (["exploration", "unique_search"], {"right": False}, 0.5 * 1 / 2),
        (["exploration"], {"right": False, "partial_credit": 0.9}, 0.9),
        ([], {"right": True}, 0.0),
        ([], {"right": False}, 0.0),
    ],
)
def test_shares_by_hand(classes, options, want):
    np.testing.assert_allclose(steps_reward(classes, **options), want)


def test_a_wrong_answer_never_earns_what_a_right_one_does():
    for classes in (FIVE, ["exploration"] * 9, ["unique_search"]):
        assert steps_reward(classes, right=False, partial_credit=0.99) < 1 + steps_reward(classes, right=True)
    for wrong in (1.0, -0.1):
        with pytest.raises(StepCreditError, match="partial_credit"):
            tool_classes(searching(), Scripted(*REPLIES), partial_credit=wrong)


def test_what_cannot_be_read_is_not_judged():
    made = tool_classes(searching(), Scripted(said("exploration"), None, REPLIES[2]), into="outcome")
    np.testing.assert_array_equal(made["label"], [nan] * 5 + [1, nan])
    np.testing.assert_array_equal(made["outcome"], [nan, nan, nan, 1])
    assert "another number of classes than of calls 1, no reply 1" in made.notes[-1]


def test_long_results_are_cut():
    step = sc.Step(tool_calls=[ToolCall(name="open")], observation="x" * 5000)
    judge = Scripted(said("exploration"))
    tool_classes(batch(run(0, 1.0, step)), judge)
    assert "x" * 300 in judge.prompts[0] and "x" * 301 not in judge.prompts[0]
    tool_classes(batch(run(0, 1.0, step)), judge, result_chars=2)
    assert "xxx" not in judge.prompts[1]


def test_costs_and_what_must_be_there():
    assert cost(searching()).calls == {"judge": 3} and cost(searching(), retries=1).calls == {"judge": 6}
    assert cost(tree()).calls == {"judge": 0}
    with pytest.raises(MissingColumn, match="tool_classes into outcome"):
        tool_classes(batch(run(0, None, call("search"))), Scripted(""), into="outcome")
