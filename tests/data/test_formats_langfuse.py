"""Exports of Langfuse: a trace of its API 3, observations and scores of its API 5."""

import json
from pathlib import Path

import pytest

from stepcredit.data import Reading, replies_of
from stepcredit.data.formats.langfuse import fits, rollouts
from stepcredit.data.rows import Rows
from stepcredit.errors import DataError

TRACES = Path(__file__).parent / "traces"


def rows():
    return [json.loads(line) for line in (TRACES / "langfuse_rows.jsonl").read_text().splitlines()]


def read(*values, **options):
    given = Rows.of(values)
    return list(rollouts(given, **options)), given.notes


@pytest.mark.parametrize("file", ["langfuse_trace.json", "langfuse_rows.jsonl"])
def test_real_exports(file):
    reading = Reading(TRACES / file)
    (one,) = reading
    assert reading.format == "langfuse"
    assert [s.agent for s in one.steps] == ["reporter", "reporter", "reporter", "adviser"]
    assert [(r.name, r.call, r.content, r.error) for s in one.steps for r in replies_of(s)] == [
        ("weather", "call_0", "12 C, rain", None),
        ("weather", "call_1", "error: no station in Oslo", True),
    ]
    assert one.steps[0].origin.input_tokens == 22
    assert (one.outcome, one.rewards) == (0.0, {"correct": 0.0})
    assert one.steps[3].evidence == {"helpful": 0.0}  # of the agent around the step
    assert one.extra["session"] == "chat-17"


def test_the_task_is_that_of_the_metadata_and_a_session_is_none():
    (one,) = Reading(TRACES / "langfuse_trace.json")
    assert one.group == "weather-2"
    (other,) = Reading(TRACES / "langfuse_rows.jsonl")
    assert other.group not in ("weather-2", "chat-17")


def test_pages_of_the_api_and_rows_in_any_order_read_alike():
    (whole,), _ = read(*rows())
    page = {"data": rows()[::-1], "meta": {"page": 1}}
    assert fits(page, "x.json")
    (one,), _ = read(page)
    assert one == whole


def test_columns_of_an_export_to_a_bucket_are_read():
    snake = {"traceId": "trace_id", "startTime": "start_time", "endTime": "end_time"}
    snake |= {"parentObservationId": "parent_observation_id", "usageDetails": "usage_details"}
    found = [{snake.get(k, k): v for k, v in r.items()} for r in rows()]
    for one in found:
        for field in ("input", "output", "usage_details"):  # JSON as text there
            if field in one:
                one[field] = json.dumps(one[field])
    (one,), _ = read(*found)
    assert [len(s.tool_calls) for s in one.steps] == [1, 1, 0, 0]
    assert one.steps[0].origin.input_tokens == 22


def score(**fields):
    trace = rows()[0]["traceId"]
    return {"id": "s", "traceId": trace, "name": "judge", "value": 1, "dataType": "NUMERIC", "source": "EVAL", **fields}


def test_scores_in_words_are_blame():
    generation = next(r for r in rows() if r["type"] == "GENERATION")
    said = {"observationId": generation["id"], "value": "incorrect", "dataType": "CATEGORICAL", "comment": "no"}
    (one,), _ = read(*rows(), score(**said, authorUserId="ann"))
    assert [(b.by, b.label, b.reason, b.evidence) for b in one.blame] == [("ann", -1, "no", {})]


def test_several_scores_of_one_name_are_kept_apart():
    generation = next(r for r in rows() if r["type"] == "GENERATION")
    (one,), _ = read(*rows(), *(score(observationId=generation["id"], value=v) for v in (0, 1, 1)))
    place = [s.origin.id for s in one.steps].index(generation["id"])
    assert one.steps[place].evidence == {"judge": 0.0, "judge.2": 1.0, "judge.3": 1.0}


def test_which_score_is_the_outcome_can_be_said():
    (one,), _ = read(*rows(), score(value=0.7), outcome="judge")
    assert one.outcome == 0.7
    plain = [r for r in rows() if r.get("name") != "correct"]
    (other,), notes = read(*plain, score(value=0.7))
    assert other.outcome is None
    assert any("outcome=NAME" in n for n in notes)


def test_a_field_of_the_metadata_may_be_the_outcome():
    names = {r["traceId"] for r in rows() if "type" in r}
    top = [
        {"id": n, "timestamp": "2026-01-01", "name": "a", "sessionId": "s", "metadata": {"verdict": "pass"}}
        for n in names
    ]
    (one,), _ = read(*(r for r in rows() if r.get("name") != "correct"), *top, outcome="verdict")
    assert one.outcome == 1.0


def test_a_score_without_its_trace_is_said():
    found, notes = read(*rows(), score(traceId="elsewhere"))
    assert len(found) == 1
    assert any("scores whose trace is not there" in n for n in notes)


def test_what_is_no_row_of_langfuse_is_an_error():
    with pytest.raises(DataError, match="row 1: neither a trace"):
        read({"data": [{"x": 1}], "meta": {}})
