"""Conversations of Anthropic's Messages API."""

import fixtures
import pytest

from stepcredit.data.formats.anthropic_messages import fits, rollouts
from stepcredit.data.records import Origin, ToolCall, replies_of
from stepcredit.data.rows import Rows
from stepcredit.errors import DataError

USE = {"type": "tool_use", "id": "t1", "name": "seats", "input": {"flight": "A"}}
RESULT = {"type": "tool_result", "tool_use_id": "t1", "content": "4"}


def read(*rows):
    return list(rollouts(Rows.of(rows)))


def said(*blocks):
    return {"role": "assistant", "content": list(blocks)}


def given(*blocks):
    return {"role": "user", "content": list(blocks)}


def text(words):
    return {"type": "text", "text": words}


def test_blocks_are_text_thoughts_calls_and_replies():
    messages = [
        given(text("q")),
        said({"type": "thinking", "thinking": "hm"}, text("a"), USE),
        given(RESULT, text("well?")),
    ]
    (one,) = read({"system": "Be brief.", "messages": messages, "passed": True})
    (step,) = one.steps
    assert (step.text, step.reasoning, step.tool_calls) == (
        "a",
        "hm",
        [ToolCall(name="seats", arguments={"flight": "A"}, id="t1")],
    )
    assert [(m.role, m.call, m.content) for m in step.replies] == [("tool", "t1", "4"), ("user", None, "well?")]
    assert (one.outcome, one.task, one.context[0].content, one.extra) == (1.0, "q", "Be brief.", {})


@pytest.mark.parametrize("error", [True, False, None])
def test_whether_a_tool_failed_is_kept(error):
    result = RESULT if error is None else RESULT | {"is_error": error}
    (one,) = read({"messages": [said(USE), given(result)]})
    assert replies_of(one.steps[0])[0].error is error


def test_images_are_addresses_also_within_results():
    by_url = {"type": "image", "source": {"type": "url", "url": "http://x/1.png"}}
    data = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA"}}
    (one,) = read({"messages": [given(by_url, text("q")), said(USE), given(RESULT | {"content": [text("see"), data]})]})
    assert one.context[0].images == ["http://x/1.png"]
    assert one.steps[0].replies[0].images == ["data:image/png;base64,AA"]
    assert one.steps[0].observation == "see[image]"


def test_what_a_server_tool_did_is_in_the_step():
    server = {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"query": "x"}}
    found = {"type": "web_search_tool_result", "tool_use_id": "s", "content": []}
    (one,) = read(
        {"messages": [given(text("q")), said(server, found, text("a"), {"type": "redacted_thinking", "data": "x"})]}
    )
    assert one.steps[0].tool_calls[0].name == "web_search" and one.steps[0].text == "[web_search_tool_result]a"


def test_the_log_of_a_real_client_is_one_rollout():
    (one,) = fixtures.read("anthropic_messages_log.jsonl")
    first, last = one.steps
    assert (first.text, first.reasoning, first.tool_calls[0].name) == ("A moment.", "I must look it up.", "seats")
    assert [(m.role, m.error, m.content) for m in first.replies] == [
        ("tool", True, "no such table[image]"),
        ("user", None, "Hurry."),
    ]
    assert first.origin == Origin(
        response="msg_0", model="scripted-1-2026", start=1793613600.0, input_tokens=60, output_tokens=7
    )
    assert (last.text, one.outcome) == ("I cannot see it.", None)
    (chat,) = fixtures.read("anthropic_messages_chat.jsonl")
    assert (chat.group, chat.outcome, len(chat.steps), chat.context[0].role) == ("HAT045", 0.0, 2, "system")


def test_messages_and_responses_of_a_file_are_one_chat():
    response = {"type": "message", "id": "m", "role": "assistant", "stop_reason": "tool_use", "content": [USE]}
    (one,) = read(response, given(RESULT), said(text("done")))
    assert [len(s.tool_calls) for s in one.steps] == [1, 0] and one.steps[0].observation == "4"


def test_a_call_that_failed_ends_the_run_with_its_error():
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    (one,) = read({"request": {"system": "s", "messages": [given(text("q"))]}, "response": error})
    assert one.steps[0].origin.error == "Overloaded"


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"system": "s", "messages": "x"}, "'messages' must hold a list"),
        ({"system": {"a": 1}, "messages": [{"content": 3}]}, "must be an object with a role"),
        ({"messages": [said({"type": "tool_use", "id": "t"})]}, "'name'"),
        ({"messages": [said(USE | {"id": 7})]}, "'id' must hold text"),
        ({"messages": [said(USE, 7)]}, "part of a message"),
    ],
)
def test_what_is_wrong_is_said(row, says):
    with pytest.raises(DataError, match=says) as error:
        read(row)
    assert error.value.row == 1


def test_chats_with_plain_parts_are_not_taken_for_it():
    assert not fits({"messages": [given(text("q"))]}, "x")
    assert not fits({"messages": [given({"type": "image_url", "image_url": {"url": "x"}})]}, "x")
    assert fits({"system": "s", "messages": []}, "x") and fits({"messages": [said(USE)]}, "x")
