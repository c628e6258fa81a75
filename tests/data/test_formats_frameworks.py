"""Messages that agent frameworks hand out, made by the frameworks themselves: one question, one call that failed."""

import json

import pytest
from fixtures import TRACES

from stepcredit.data import formats
from stepcredit.data.formats.openai_chat import fits, rollouts
from stepcredit.data.reading import Reading
from stepcredit.data.records import replies_of
from stepcredit.data.rows import Rows
from stepcredit.errors import DataError

QUESTION = "What is the weather in Lyon and in Oslo?"
ANSWER = "Lyon: 12 C and rain. Oslo: 5 C."
LANGCHAIN = ("openai_chat_langchain.json", "openai_chat_langchain_dump.jsonl", "openai_chat_langgraph_state.json")


def read(name):
    reading = Reading(TRACES / name)
    (one,) = reading
    assert (reading.format, one.outcome, one.task) == ("openai_chat", None, QUESTION)
    return one


def asked(rollout):
    def plain(arguments):
        return json.loads(arguments) if isinstance(arguments, str) else arguments

    return [(c.name, plain(c.arguments), c.id) for s in rollout.steps for c in s.tool_calls]


def came_back(rollout):
    return [[(r.role, r.name, r.call, r.error) for r in replies_of(s)] for s in rollout.steps]


CALLS = [("weather", {"city": "Lyon"}, "call_0"), ("weather", {"city": "Oslo"}, "call_1")]


@pytest.mark.parametrize("name", LANGCHAIN)
def test_langchain_and_langgraph(name):
    one = read(name)
    assert [(m.role, m.content) for m in one.context] == [("system", "Use the tool."), ("user", QUESTION)]
    assert [(s.text, s.reasoning) for s in one.steps] == [("Let me see.", None), ("", "Oslo too."), (ANSWER, None)]
    assert asked(one) == CALLS
    assert came_back(one) == [[("tool", "weather", "call_0", False)], [("tool", "weather", "call_1", True)], []]
    assert one.steps[0].observation == "12 C, rain"
    assert (one.steps[0].origin.model, one.steps[0].origin.input_tokens) == ("scripted-1", 22)
    assert one.steps[1].extra == {}


def test_the_shapes_of_langchain_tell_of_one_rollout():
    first, *others = (read(name) for name in LANGCHAIN)
    for other in others:
        other.rollout = first.rollout
        assert other == first


def test_pydantic_ai():
    one = read("openai_chat_pydantic_ai.json")
    assert [(m.role, m.content) for m in one.context] == [("system", "Use the tool."), ("user", QUESTION)]
    assert [s.text for s in one.steps] == [None, None, ANSWER]
    assert asked(one) == CALLS
    assert came_back(one) == [[("tool", "weather", "call_0", False)], [("tool", "weather", "call_1", True)], []]
    assert [s.origin.response for s in one.steps] == ["chatcmpl-2", "chatcmpl-4", "chatcmpl-6"]
    assert (one.steps[0].origin.input_tokens, one.steps[0].origin.output_tokens) == (22, 7)


def test_pydantic_ai_of_older_versions_asks_again_by_a_part_of_its_own():
    parts = [
        {
            "kind": "request",
            "parts": [{"part_kind": "user-prompt", "content": ["look", {"kind": "image-url", "url": "u"}]}],
        },
        {
            "kind": "response",
            "parts": [{"part_kind": "thinking", "content": "so"}, {"part_kind": "text", "content": "a"}],
        },
        {
            "kind": "request",
            "parts": [{"part_kind": "retry-prompt", "content": "no", "tool_name": "t", "tool_call_id": "c"}],
        },
    ]
    (one,) = rollouts(Rows.of([{"messages": parts}]))
    assert (one.task, one.steps[0].text, one.steps[0].reasoning) == ("look\n[u]", "a", "so")
    assert came_back(one) == [[("tool", "t", "c", True)]]


def test_a_team_of_autogen_keeps_who_spoke_and_what_he_thought():
    one = read("openai_chat_autogen.json")
    assert [s.agent for s in one.steps] == ["reporter", "reporter", "reporter", "adviser"]
    assert [s.reasoning for s in one.steps] == ["I must look.", "I must look.", None, None]
    assert [s.text for s in one.steps] == [None, None, ANSWER, "Take an umbrella."]
    assert asked(one) == CALLS
    assert came_back(one)[:2] == [[("tool", "weather", "call_0", False)], [("tool", "weather", "call_1", True)]]
    assert one.steps[1].observation == "no station in Oslo"
    assert one.steps[0].origin.input_tokens == 22


def test_messages_of_autogen_a_line_each_are_one_rollout(tmp_path):
    told = json.loads((TRACES / "openai_chat_autogen.json").read_text())["messages"]
    (tmp_path / "m.jsonl").write_text("".join(json.dumps(m) + "\n" for m in told))
    (one,) = Reading(tmp_path / "m.jsonl")
    assert one.steps == read("openai_chat_autogen.json").steps


def test_smolagents():
    one = read("openai_chat_smolagents.json")
    assert [s.text for s in one.steps] == ["Look.", None, None]
    assert asked(one) == [*CALLS, ("final_answer", {"answer": ANSWER}, "call_2")]
    assert came_back(one) == [[("tool", None, f"call_{i}", i == 1)] for i in range(3)]
    assert "no station in Oslo" in one.steps[1].observation
    assert one.steps[2].observation == ANSWER
    assert one.steps[0].origin.input_tokens == 22


def test_smolagents_that_write_code():
    one = read("openai_chat_smolagents_code.json")
    assert [c.name for s in one.steps for c in s.tool_calls] == ["python_interpreter"] * 3
    assert one.steps[0].tool_calls[0].arguments == "print(weather(city='Lyon'))"
    assert [r.error for s in one.steps for r in replies_of(s)] == [False, True, False]


def test_a_run_result_of_smolagents_is_read_by_its_steps():
    steps = json.loads((TRACES / "openai_chat_smolagents.json").read_text())
    (one,) = rollouts(Rows.of([{"output": ANSWER, "state": "success", "steps": steps}]))
    assert (asked(one)[:2], one.extra["output"]) == (CALLS, ANSWER)


def test_messages_of_smolagents_are_read_as_far_as_they_tell():
    (one,) = Reading(TRACES / "openai_chat_smolagents_messages.json")
    assert asked(one) == [(*CALLS[0][:2], "call_0"), ("final_answer", {"answer": ANSWER}, "call_2")]
    assert "no station in Oslo" in one.steps[0].observation  # the call that failed is not among them


def test_items_of_the_openai_agents_sdk_begin_with_a_chat_message():
    one = read("openai_chat_openai_agents_items.json")
    assert [s.text for s in one.steps] == [None, None, ANSWER]
    assert asked(one) == CALLS
    assert came_back(one)[:2] == [[("tool", None, "call_0", None)], [("tool", None, "call_1", None)]]


@pytest.mark.parametrize(
    "answer", ["a", {"role": "assistant", "content": "a"}, {"messages": [{"role": "assistant", "content": "a"}]}]
)
@pytest.mark.parametrize(("sent", "got"), [("messages", "response"), ("input", "output"), ("prompt", "response")])
def test_an_answer_beside_its_messages_is_a_step(sent, got, answer):
    messages = [{"role": "user", "content": "q"}]
    row = {sent: messages, got: answer, "score": 1}
    if sent == "messages" and isinstance(answer, dict) and "messages" in answer:
        row = {"input": {"messages": messages}, "output": answer, "score": 1}
    assert fits(row, "x")
    (one,) = rollouts(Rows.of([row]))
    assert ([s.text for s in one.steps], one.task, one.outcome) == (["a"], "q", 1.0)


def test_an_answer_beside_a_chat_that_has_one_is_another_field():
    chat = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]
    (one,) = rollouts(Rows.of([{"messages": chat, "response": "b"}]))
    assert ([s.text for s in one.steps], one.extra) == (["a"], {"response": "b"})


def test_the_right_answer_beside_its_messages_is_not_what_was_said():
    (one,) = rollouts(Rows.of([{"messages": [{"role": "user", "content": "q"}], "answer": "42"}]))
    assert (one.steps, one.extra) == ([], {"answer": "42"})


def test_the_output_of_a_batch_has_no_requests_and_a_note_says_so():
    reading = Reading(TRACES / "openai_chat_batch.jsonl")
    found = list(reading)
    assert [(r.group, [s.text for s in r.steps]) for r in found] == [
        ("w-1", ["Take an umbrella."]),
        ("w-2", [None]),
        ("w-3", [None]),
    ]
    assert [r.steps[0].origin.error for r in found] == [None, "bad model", "expired"]
    assert any("requests of the batch" in note for note in reading.notes)


def test_items_of_an_evaluation_tell_the_outcome():
    item = {"object": "eval.run.output_item", "id": "o1", "datasource_item_id": 7, "results": [{"score": 0.0}]}
    sample = {"input": [{"role": "user", "content": "q"}], "output": [{"role": "assistant", "content": "a"}]}
    rows = [{**item, "sample": sample, "status": status} for status in ("pass", "fail", "error")]
    assert fits(rows[0], "x")
    found = list(rollouts(Rows.of(rows)))
    assert [(r.group, r.outcome, [s.text for s in r.steps]) for r in found] == [
        (7, 1.0, ["a"]),
        (7, 0.0, ["a"]),
        (7, None, ["a"]),
    ]
    assert found[0].extra["results"] == [{"score": 0.0}]


@pytest.mark.parametrize(
    "row",
    [
        {"messages": [{"type": "ai", "data": {"content": 3}}]},
        {"messages": [{"role": "tool-call", "content": "Calling tools:\nos.exit()"}]},
        {"messages": [{"source": "a", "type": "ToolCallRequestEvent", "models_usage": None, "content": "x"}]},
        {"messages": [{"type": "ai", "data": {"content": "a", "tool_calls": 0.5}}]},
        {"messages": [{"role": "tool-call", "content": "Calling tools:\n[{'name': 'f', 'arguments': 1j}]"}]},
    ],
)
def test_what_such_messages_must_hold_is_said(row):
    with pytest.raises(DataError):
        list(rollouts(Rows.of([row])))


@pytest.mark.parametrize(
    "row",
    [
        {
            "request": {"messages": [{"role": "user", "content": "q"}]},
            "response": [{"object": "chat.completion.chunk"}],
        },
        {"object": "chat.completion.chunk", "choices": []},
        {"type": "response.created", "sequence_number": 0, "response": {}},
        {"type": "message_start", "message": {}},
        {"request": {"input": "q"}, "response": [{"type": "response.created", "sequence_number": 0}]},
    ],
)
def test_answers_in_pieces_are_refused_and_what_to_log_is_said(row):
    with pytest.raises(DataError, match=r"streamed, in pieces.*\n.*get_final_message"):
        list(formats.get(formats.detect(row, "x")).rollouts(Rows.of([row])))
