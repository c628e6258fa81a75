"""Message segmenters: what was sampled, and what answered it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepcredit import segment
from stepcredit.errors import DataError

assistant_turns, tool_calls = segment.get("assistant_turns"), segment.get("tool_calls")


def call(name):
    return {"id": name, "type": "function", "function": {"name": "f", "arguments": "{}"}}


CHAT = [
    {"role": "system", "content": "Help."},
    {"role": "user", "content": [{"type": "text", "text": "Hello"}]},
    {"role": "assistant", "content": "Looking.", "tool_calls": [call("a"), call("b")]},
    {"role": "tool", "tool_call_id": "b", "content": "2"},
    {"role": "tool", "tool_call_id": "a", "content": "1"},
    {"role": "user", "content": "Well?"},
    {"role": "assistant", "content": None, "tool_calls": [call("a")]},
    {"role": "assistant", "content": None, "tool_calls": None},
    {"role": "tool", "tool_call_id": "a", "content": "late"},
    {"role": "assistant", "content": "Done.", "tool_calls": []},
]


def test_assistant_turns():
    turns = assistant_turns(CHAT)
    assert turns.message.tolist() == [2, 6, 7, 9]
    assert turns.call.tolist() == [-1] * 4
    assert turns.observations == [[3, 4, 5], [], [8], []]


def test_tool_calls():
    turns = tool_calls(CHAT)
    assert turns.message.tolist() == [2, 2, 6, 7, 9]
    assert turns.call.tolist() == [0, 1, 0, -1, -1]
    assert turns.observations == [[4], [3, 5], [8], [], []]


def test_examples_in_the_prompt_were_not_sampled():
    turns = assistant_turns(CHAT, start=3)
    assert turns.message.tolist() == [6, 7, 9] and turns.observations == [[], [8], []]
    turns = tool_calls(CHAT, start=3)
    assert turns.message.tolist() == [6, 7, 9] and turns.observations == [[8], [], []]
    with pytest.raises(DataError, match="message 8: tool_call_id names no tool call"):
        tool_calls(CHAT, start=7)


@pytest.mark.parametrize("segmenter", [assistant_turns, tool_calls])
def test_nothing_sampled(segmenter):
    for chat in ([], CHAT[:2]):
        turns = segmenter(chat)
        assert turns.message.shape == (0,) and turns.message.dtype == "int64" and turns.observations == []


def test_answers_without_an_id_go_to_the_calls_in_turn():
    chat = [
        {"role": "assistant", "tool_calls": [{"function": {}}, call(""), call("x")]},
        {"role": "tool", "tool_call_id": "x"},
        {"role": "tool"},
        {"role": "tool", "tool_call_id": ""},
        {"role": "tool", "tool_call_id": None},
        {"role": "assistant", "function_call": {"name": "f", "arguments": "{}"}},
        {"role": "function", "name": "f"},
    ]
    turns = tool_calls(chat)
    assert turns.call.tolist() == [0, 1, 2, 0]
    assert turns.observations == [[2], [3], [1, 4], [6]]


def test_a_user_answers_the_last_call():
    chat = [{"role": "assistant", "tool_calls": [call("a"), call("b")]}, {"role": "user", "content": "Stop."}]
    assert tool_calls(chat).observations == [[], [1]]


def test_two_answers_to_one_call():
    chat = [{"role": "assistant", "tool_calls": [call("a"), call("b")]}, *[{"role": "tool", "tool_call_id": "a"}] * 2]
    assert tool_calls(chat).observations == [[1, 2], []]


@pytest.mark.parametrize(
    ("chat", "message"),
    [
        ([{"role": "user"}, {"role": "Assistant"}], "message 1: unknown role; got Assistant, expected one of system"),
        ([{"content": "x"}], "message 0: unknown role"),
        ([{"role": ["user"]}], "message 0: unknown role"),
    ],
)
@pytest.mark.parametrize("segmenter", [assistant_turns, tool_calls])
def test_an_unknown_role_is_refused(segmenter, chat, message):
    with pytest.raises(DataError, match=message):
        segmenter(chat)


@pytest.mark.parametrize(
    ("chat", "message"),
    [
        ([{"role": "assistant", "tool_calls": [call("a"), call("a")]}], "message 0: two tool calls with one id; got a"),
        ([{"role": "assistant", "tool_calls": {"id": "a"}}], "message 0: tool_calls"),
        ([{"role": "assistant", "tool_calls": ["a"]}], "message 0: tool_calls"),
        (
            [{"role": "assistant", "tool_calls": [call("a")]}, {"role": "tool", "tool_call_id": "z"}],
            "message 1: tool_call_id names no tool call before it; got z, expected one of 'a'",
        ),
        (
            [{"role": "assistant"}, {"role": "tool", "tool_call_id": "z"}],
            "got z, expected no id, since no call has one",
        ),
    ],
)
def test_calls_that_cannot_be_told_apart_are_refused(chat, message):
    with pytest.raises(DataError, match=message):
        tool_calls(chat)


def test_content_text():
    text = segment.content_text
    assert text({"role": "assistant"}) == text({"content": None}) == text({"content": []}) == ""
    assert text({"content": "a"}) == "a"
    parts = [{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {}}, "b", {"type": "text", "text": None}]
    assert text({"content": parts}) == "ab"
    for wrong in (3, {"text": "a"}, [3], b"a"):
        with pytest.raises(DataError, match="content; got"):
            text({"content": wrong})


@given(st.lists(st.sampled_from(["system", "user", "tool", "one", "two", "none"]), max_size=12))
def test_every_message_after_the_first_step_is_sampled_or_observed_once(kinds):
    made = {"one": [{"id": None}], "two": [{"id": None}, {"id": None}], "none": None}
    chat = [{"role": "assistant", "tool_calls": made[k]} if k in made else {"role": k} for k in kinds]
    for segmenter in (assistant_turns, tool_calls):
        turns = segmenter(chat)
        first = next((i for i, k in enumerate(kinds) if k in made), len(kinds))
        seen = sorted([*set(turns.message.tolist()), *(i for row in turns.observations for i in row)])
        assert seen == list(range(first, len(kinds)))
        assert len(turns.message) == len(turns.call) == len(turns.observations)
