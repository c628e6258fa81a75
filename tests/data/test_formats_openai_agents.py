"""Traces of the OpenAI Agents SDK, recorded by the SDK itself."""

import json

import pytest
from fixtures import TRACES

from stepcredit.data.formats.openai_agents import fits, rollouts
from stepcredit.data.reading import Reading
from stepcredit.data.records import replies_of
from stepcredit.data.rows import Rows
from stepcredit.errors import DataError

SPANS = [json.loads(line) for line in (TRACES / "openai_agents.jsonl").read_text().splitlines()]


def test_a_run_of_two_agents():
    reading = Reading(TRACES / "openai_agents.jsonl")
    (one,) = reading
    assert (reading.format, one.group, one.outcome) == ("openai_agents", "weather-2", None)
    assert one.rollout == SPANS[0]["trace_id"]
    assert [(m.role, m.content) for m in one.context] == [
        ("system", "Use the tool."),
        ("user", "What is the weather in Lyon and in Oslo?"),
    ]
    assert [(s.agent, s.text) for s in one.steps] == [
        ("reporter", None),
        ("reporter", None),
        ("reporter", "Lyon: 12 C and rain. Oslo: 5 C."),
        ("adviser", "Take an umbrella."),
    ]
    assert [(c.name, c.arguments, c.id) for s in one.steps for c in s.tool_calls] == [
        ("weather", '{"city": "Lyon"}', "call_0"),
        ("weather", '{"city": "Oslo"}', "call_1"),
    ]
    assert [(r.call, r.name, r.error) for s in one.steps for r in replies_of(s)] == [
        ("call_0", "weather", None),
        ("call_1", "weather", True),
    ]
    assert one.steps[0].observation == "12 C, rain"
    assert (one.steps[0].origin.model, one.steps[0].origin.input_tokens) == ("scripted-1", 22)
    assert (one.extra["name"], one.extra["session"]) == ("weather report", "chat-17")


def test_requests_of_its_own_exporter_tell_the_same():
    page = {"data": SPANS[::-1]}
    assert fits(page, "x")
    (one,) = rollouts(Rows.of([page]))
    (same,) = Reading(TRACES / "openai_agents.jsonl")
    assert one == same


def test_spans_of_the_responses_api_hold_no_text_and_a_note_says_so():
    reading = Reading(TRACES / "openai_agents_responses.jsonl")
    (one,) = reading
    (step,) = one.steps
    assert (step.agent, step.text, step.origin.response, step.origin.input_tokens) == ("reporter", None, "resp_0", 40)
    assert any("steps without text" in note for note in reading.notes)


def test_all_traces_of_a_conversation_are_one_rollout_where_asked():
    again = [json.loads(json.dumps(row).replace(SPANS[0]["trace_id"], "trace_2")) for row in SPANS]
    assert len(list(rollouts(Rows.of([*SPANS, *again])))) == 2
    (one,) = rollouts(Rows.of([*SPANS, *again]), by="session")
    assert (one.rollout, len(one.steps)) == ("chat-17", 8)


def test_a_trace_without_spans_is_counted():
    rows = Rows.of([SPANS[-1]])
    assert list(rollouts(rows)) == []
    assert any("without spans" in note for note in rows.notes)


@pytest.mark.parametrize(
    "row", [{"data": [3]}, {"object": "trace.span", "span_data": {}}, {"object": "trace.span", "id": "s"}]
)
def test_what_a_span_must_hold_is_said(row):
    with pytest.raises(DataError, match=r"neither a span nor a trace|without the id of its trace"):
        list(rollouts(Rows.of([row])))
