"""Runs of LangSmith, flat and nested, and feedback."""

import json
from pathlib import Path

import pytest

from stepcredit.data import Reading, replies_of
from stepcredit.data.formats.langsmith import rollouts
from stepcredit.data.rows import Rows
from stepcredit.errors import DataError

TRACES = Path(__file__).parent / "traces"


def rows():
    return [json.loads(line) for line in (TRACES / "langsmith_runs.jsonl").read_text().splitlines()]


def read(*values, **options):
    given = Rows.of(values)
    return list(rollouts(given, **options)), given.notes


@pytest.mark.parametrize("file", ["langsmith_runs.jsonl", "langsmith_nested.json"])
def test_real_runs(file):
    reading = Reading(TRACES / file)
    (one,) = reading
    assert reading.format == "langsmith"
    assert [s.text for s in one.steps] == [None, None, "Lyon: 12 C and rain. Oslo: 5 C.", "Take an umbrella."]
    assert [(r.name, r.call, r.content, r.error) for s in one.steps for r in replies_of(s)] == [
        ("weather", "call_0", "12 C, rain", None),
        ("weather", "call_1", "error: no station in Oslo", True),
    ]
    assert [s.agent for s in one.steps] == [None, None, None, "adviser"]
    assert one.steps[3].evidence == {"helpful": 0.0}
    assert one.steps[0].origin.model == "scripted-1"
    assert (one.steps[0].origin.input_tokens, one.steps[0].origin.response) == (22, "chatcmpl-2")


def test_the_example_of_a_dataset_is_the_group():
    (one,) = Reading(TRACES / "langsmith_nested.json")
    assert one.group == "7f0e7c9a-2c55-4f0e-9d5a-000000000001"


def test_feedback_goes_before_its_averages():
    found = rows()
    adviser = next(r for r in found if r.get("name") == "adviser")
    adviser["feedback_stats"] = {"helpful": {"n": 9, "avg": 0.5}, "fast": {"n": 1, "avg": 1.0}}
    (one,), _ = read(*found)
    assert one.steps[3].evidence == {"fast": 1.0, "helpful": 0.0}


def test_feedback_in_words_is_blame_and_that_of_the_root_the_outcome():
    found = rows()
    step = next(r for r in found if r.get("run_type") == "llm")
    root = next(r for r in found if r.get("run_type") == "chain" and not r["parent_run_id"])
    told = [
        {"run_id": step["id"], "key": "review", "score": None, "value": "wrong", "comment": "too early"},
        {"run_id": root["id"], "key": "correct", "score": True},
        {"run_id": "gone", "key": "x", "score": 1},
    ]
    (one,), notes = read(*found, *told)
    assert [(b.by, b.label, b.reason) for b in one.blame] == [("review", -1, "too early")]
    assert (one.outcome, one.rewards) == (1.0, {"correct": 1.0})
    assert any("feedback whose run is not there" in n for n in notes)


def test_messages_of_langchain_are_read():
    def held(kind, **kwargs):
        return {"lc": 1, "type": "constructor", "id": ["langchain", "schema", "messages", kind], "kwargs": kwargs}

    asked = [held("SystemMessage", content="brief"), held("HumanMessage", content="6 * 7?")]
    called = held("AIMessage", content="", tool_calls=[{"name": "mul", "args": {"a": 6}, "id": "c"}])
    run = {"id": "1", "trace_id": "1", "run_type": "llm", "name": "m", "start_time": "2026-01-01T00:00:00"}
    run |= {"end_time": "2026-01-01T00:00:01", "inputs": {"messages": [asked]}}
    run |= {
        "outputs": {
            "generations": [[{"text": "", "message": called}]],
            "llm_output": {"token_usage": {"prompt_tokens": 3}},
        }
    }
    (one,), _ = read(run)
    assert [(m.role, m.content) for m in one.context] == [("system", "brief"), ("user", "6 * 7?")]
    assert one.steps[0].action == '[["mul", {"a": 6}]]'
    assert (one.steps[0].origin.input_tokens, one.steps[0].origin.seconds) == (3, 1.0)
    assert one.steps[0].origin.start == 1767225600.0  # times without a zone are UTC


def test_a_field_of_the_metadata_may_be_the_outcome():
    found = [r for r in rows() if "extra" in r]
    for one in found:
        one["extra"].setdefault("metadata", {})["grade"] = 0.5 if one.get("parent_run_id") is None else 1
    assert read(*found, outcome="grade")[0][0].outcome == 0.5


def test_threads_join_where_that_is_asked_for():
    found = rows()
    for one in found:
        if "extra" in one:
            one["extra"].setdefault("metadata", {})["thread_id"] = "th"
    (one,), _ = read(*found, by="session")
    assert (one.rollout, one.extra["session"]) == ("th", "th")


def test_a_run_without_an_id_is_an_error_with_its_place():
    with pytest.raises(DataError, match="row 1: a run without an id"):
        read({"run_type": "llm", "inputs": {}})
