"""Chats in OpenAI's messages format."""

import pytest

from stepcredit.data.formats.openai_chat import rollouts
from stepcredit.data.records import ToolCall
from stepcredit.data.rows import Rows
from stepcredit.errors import DataError

CALL = {"id": "c1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}
CHAT = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": [{"type": "text", "text": "1+1?"}, {"type": "image_url", "image_url": {}}]},
    {"role": "assistant", "content": None, "tool_calls": [CALL], "reasoning": "hm"},
    {"role": "tool", "tool_call_id": "c1", "content": "2"},
    {"role": "user", "content": "well?"},
    {"role": "assistant", "content": "2", "name": "solver"},
]


def read(*rows):
    return list(rollouts(Rows.of(rows)))


def test_an_assistant_message_is_a_step_and_what_follows_its_observation():
    (one,) = read({"group": "p", "messages": CHAT, "model": "m"})
    first, last = one.steps
    assert (first.text, first.observation, first.state) == (None, "2\nwell?", None)
    assert first.tool_calls == [ToolCall(name="add", arguments='{"a": 1}', id="c1")]
    assert (first.reasoning, first.extra) == ("hm", {})
    assert (last.text, last.observation, last.agent) == ("2", None, "solver")
    assert one.task == "1+1?[image_url]"
    assert one.extra == {"model": "m"}


@pytest.mark.parametrize("group", ["group", "prompt_id", "task_id"])
@pytest.mark.parametrize("outcome", ["outcome", "reward", "score", "correct"])
def test_usual_names_of_group_and_outcome(group, outcome):
    (one,) = read({group: 7, outcome: True, "messages": []})
    assert (one.group, one.outcome, one.extra) == (7, 1.0, {})


def test_attempts_are_counted_per_group_where_no_rollout_is_named():
    found = read(*({"group": g, "messages": []} for g in "abaab"))
    assert [(r.group, r.rollout) for r in found] == [("a", 0), ("b", 0), ("a", 1), ("a", 2), ("b", 1)]
    assert read({"group": 1, "rollout": "x", "messages": []})[0].rollout == "x"


def test_an_unknown_outcome_stays_unknown():
    assert read({"group": 1, "messages": []}, {"group": 1, "reward": None, "messages": []})[1].outcome is None


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"messages": []}, "which task"),
        ({"group": 1, "reward": 1, "score": 0, "messages": []}, "'reward' and 'score' could each be the outcome"),
        ({"group": 1, "messages": [{"content": "x"}]}, "message 0"),
        ({"group": 1, "messages": [{"role": "assistant", "content": 3}]}, "message 0: the content"),
        ({"group": 1, "messages": [{"role": "assistant", "tool_calls": [{"function": {}}]}]}, "'name' is missing"),
        ({"group": 1, "reward": "high", "messages": []}, "'reward' must hold a finite number"),
        ({"group": None, "messages": []}, "must name a group"),
    ],
)
def test_what_is_wrong_is_said(row, says):
    with pytest.raises(DataError, match=says):
        read(row)


def test_fields_that_bear_our_names_do_not_shadow_ours():
    (one,) = read({"group": 1, "messages": [{"role": "assistant", "content": "x", "action": 1}], "weight": "heavy"})
    assert one.extra == {"source.weight": "heavy"}
    assert one.steps[0].extra == {"source.action": 1}
