"""Logs of OpenAI's Responses API."""

import fixtures
import pytest

from stepcredit.data.formats.openai_responses import fits, plain, rollouts
from stepcredit.data.records import Origin, ToolCall, replies_of
from stepcredit.data.rows import Rows
from stepcredit.errors import DataError


def read(*rows):
    return list(rollouts(Rows.of(rows)))


def said(text):
    return {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": text}]}


def asked(number, name="add"):
    return {"type": "function_call", "call_id": f"c{number}", "name": name, "arguments": "{}"}


def got(number, output):
    return {"type": "function_call_output", "call_id": f"c{number}", "output": output}


def test_what_the_model_puts_out_in_a_row_is_one_step():
    thought = {"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}]}
    (one,) = read(
        {
            "input": "q",
            "output": [thought, said("a"), said("b"), asked(0), asked(1), got(0, "x"), got(1, "y"), said("c")],
        }
    )
    first, last = one.steps
    assert (first.text, first.reasoning, last.text) == ("a\nb", "hm", "c")
    assert first.tool_calls == [ToolCall(name="add", arguments="{}", id=f"c{i}") for i in (0, 1)]
    assert [(m.role, m.call, m.content) for m in first.replies] == [("tool", "c0", "x"), ("tool", "c1", "y")]
    assert one.task == "q" and one.context[0].content == "q"


def test_the_log_of_a_real_client_goes_on_by_the_id_of_the_response():
    (one,) = fixtures.read("openai_responses_log.jsonl")
    look, count, code, answer = one.steps
    assert next((m.role, m.content) for m in one.context) == ("system", "You work for an airline. Use the tools.")
    assert (look.reasoning, look.tool_calls[0].name, look.observation) == (
        "I must look it up.",
        "seats",
        "error: no such table",
    )
    assert look.origin == Origin(
        response="resp_0", model="scripted-1-2026", start=1793613600.0, input_tokens=40, output_tokens=8
    )
    assert count.tool_calls == [
        ToolCall(name="web_search", arguments={"type": "search", "query": "HAT045 seats"}, id="ws_1")
    ]
    assert [m.role for m in count.replies] == ["user"]
    assert (code.tool_calls[0].arguments, replies_of(code)[0].content) == ("20 - 16", "4")
    assert (answer.text, answer.origin) == ("4 seats.", None)


def test_items_of_a_file_are_one_conversation():
    (one,) = fixtures.read("openai_responses_items.json")
    click, answer = one.steps
    assert (click.reasoning, click.tool_calls[0].name, click.tool_calls[0].id) == ("Look.", "computer", "cu_1")
    assert click.replies[0].images == ["data:image/png;base64,AAAA"]
    assert (one.rollout, answer.text, answer.observation) == ("openai_responses_items", "4 seats.", "[item_reference]")


def test_a_bare_response_is_a_step_of_an_unknown_conversation():
    first = {"object": "response", "id": "r1", "output": [said("a")], "instructions": "Be brief."}
    second = {"object": "response", "id": "r2", "output": [said("b")], "previous_response_id": "r1", "input": "and?"}
    other = {"object": "response", "id": "r3", "output": [said("c")]}
    found = read(first, second, other)
    assert [[s.text for s in r.steps] for r in found] == [["a", "b"], ["c"]]
    assert found[0].steps[0].observation == "and?" and found[0].group != found[1].group


@pytest.mark.parametrize(
    ("item", "error"),
    [
        ({"type": "mcp_call", "name": "ls", "arguments": "{}", "output": "a"}, None),
        ({"type": "mcp_call", "name": "ls", "arguments": "{}", "error": {"message": "down"}}, True),
        ({"type": "file_search_call", "queries": ["x"], "results": [{"text": "a", "score": 1}]}, None),
    ],
)
def test_the_result_of_a_built_in_tool_is_a_reply_and_the_next_word_a_new_step(item, error):
    (one,) = read({"request": {"input": "q"}, "response": {"output": [item, said("b")]}})
    assert [len(s.tool_calls) for s in one.steps] == [1, 0]
    assert one.steps[0].replies[0].error is error and one.steps[0].observation


def test_calls_that_end_in_the_result_of_a_tool_are_not_mixed_up():
    code = {"type": "code_interpreter_call", "id": "c", "code": "1", "outputs": [{"type": "logs", "logs": "1"}]}
    found = read(*({"request": {"input": q}, "response": {"output": [code]}} for q in ("a", "b")))
    assert [len(r.steps) for r in found] == [1, 1]


def test_a_failed_call_of_a_tool_is_marked():
    message = plain([asked(0), got(0, "no") | {"status": "failed"}])[1]
    assert message["is_error"] is True


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"request": {"input": 3}, "response": {"output": []}}, "'input' must be a list"),
        ({"request": {"input": [3]}, "response": {"output": [said("a")]}}, "item 0 must be an object"),
        ({"request": {"input": "q"}, "response": 7}, "the response must be an object"),
        ({"object": "response", "output": [{"type": "function_call"}]}, "'name'"),
        ({"foo": 1}, "neither a call, a response nor an item"),
    ],
)
def test_what_is_wrong_is_said(row, says):
    with pytest.raises(DataError, match=says) as error:
        read(row)
    assert error.value.row == 1


def test_chats_are_not_taken_for_it():
    assert not fits({"messages": []}, "x") and not fits({"role": "user", "content": "x"}, "x")
    assert not fits({"input": "p", "output": "c", "score": 1.0, "step": 1}, "x")
    assert fits({"type": "message", "role": "user", "content": "x"}, "x")
