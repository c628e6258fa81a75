"""Logs of inspect_ai: a real evaluation with a mock model and a tool, as JSON and as an archive."""

import copy
import json
from pathlib import Path

import pytest

from stepcredit.data import Reading, replies_of
from stepcredit.data.formats.inspect_ai import fits, rollouts
from stepcredit.data.records import reference_of
from stepcredit.data.rows import Rows
from stepcredit.errors import DataError

TRACES = Path(__file__).parent / "traces"


@pytest.fixture
def log():
    return json.loads((TRACES / "inspect_ai_log.json").read_text())


def read(*logs, **options):
    rows = Rows.of(logs)
    return list(rollouts(rows, **options)), rows.notes


@pytest.mark.parametrize("file", ["inspect_ai_log.json", "inspect_ai_archive.eval"])
def test_real_logs(file):
    reading = Reading(TRACES / file)
    first, second = reading
    assert reading.format == "inspect_ai"
    assert (first.group, second.group) == ("reporter/two cities",) * 2
    assert [r.rollout.rpartition("/")[2] for r in (first, second)] == ["1", "2"]
    assert (first.outcome, second.outcome) == (0.0, 1.0)
    assert first.rewards == {"match": 0.0}
    assert reference_of(first) == "unknown"
    assert [s.text for s in first.steps] == ["Let me see: Lyon", "Let me see: Oslo", "12 and 5"]
    assert [m.role for m in first.context] == ["system", "user"]
    assert [(r.role, r.name, r.error) for s in first.steps for r in replies_of(s)] == [
        ("tool", "weather", None),
        ("tool", "weather", True),
    ]
    assert first.steps[1].observation == "no station in Oslo"
    assert (first.steps[0].origin.model, first.steps[0].origin.input_tokens) == ("mockllm/model", 30)


def test_texts_kept_apart_are_put_back(log):
    (one, _), _ = read(log)
    assert one.steps[0].observation.startswith("12 C, rain. The day was long")
    log["samples"][0]["attachments"] = {}
    (other, _), notes = read(log)
    assert other.steps[0].observation.startswith("attachment://")
    assert any("kept apart" in n for n in notes)


def test_scores_on_the_way_are_rewards_and_evidence(log):
    (_, second), _ = read(log)
    assert [s.evidence for s in second.steps] == [{"score.match": 0.0}, {"score.match": 0.0}, {"score.match": 1.0}]
    assert [s.reward for s in second.steps] == [0.0, 0.0, 1.0]
    (_, plain), _ = read(log, intermediate="evidence")
    assert [s.reward for s in plain.steps] == [None, None, None]
    assert plain.steps[2].evidence == {"score.match": 1.0}


def test_a_log_without_events_is_read_from_its_messages(log):
    whole, _ = read(log)
    for sample in log["samples"]:
        del sample["events"], sample["events_data"]
    plain, _ = read(log)
    for one, other in zip(whole, plain, strict=True):
        assert [s.text for s in one.steps] == [s.text for s in other.steps]
        assert [s.action for s in one.steps] == [s.action for s in other.steps]
        assert [s.observation for s in one.steps] == [s.observation for s in other.steps]


def test_calls_of_a_scorer_are_no_steps(log):
    sample = log["samples"][0]
    model = copy.deepcopy(next(e for e in sample["events"] if e["event"] == "model"))
    sample["events"] += [
        {"event": "span_begin", "id": "S", "type": "scorers", "name": "scorers"},
        {"event": "span_begin", "id": "s", "parent_id": "S", "type": "scorer", "name": "judge"},
        {**model, "span_id": "s", "uuid": "of-the-judge"},
    ]
    (one, _), _ = read(log)
    assert len(one.steps) == 3


def test_agents_are_spans_of_their_type(log):
    events = log["samples"][0]["events"]
    solvers = next(e for e in events if e["event"] == "span_begin" and e["type"] == "solvers")
    solvers["type"], solvers["name"] = "agent", "planner"
    (one, _), _ = read(log)
    assert [s.agent for s in one.steps] == ["planner"] * 3


@pytest.mark.parametrize(
    ("value", "rewards"),
    [
        ("P", {"judge": 0.5}),
        (True, {"judge": 1.0}),
        (0.25, {"judge": 0.25}),
        ({"style": "C", "length": 3}, {"judge.style": 1.0, "judge.length": 3.0}),
        ("excellent", {}),
    ],
)
def test_values_of_scores(log, value, rewards):
    log["samples"][0]["scores"] = {"judge": {"value": value, "explanation": "so"}}
    (one, _), _ = read(log)
    assert one.rewards == rewards
    assert one.extra["scores"]["judge"]["explanation"] == "so"


def test_of_several_scorers_the_first_is_the_outcome_and_it_is_said(log):
    log["samples"][0]["scores"] = {"a": {"value": "I"}, "b": {"value": "C"}}
    (one, _), notes = read(log)
    assert one.outcome == 0.0
    assert any("several scores" in n for n in notes)
    assert read(log, outcome="b")[0][0].outcome == 1.0


def test_a_sample_that_broke_off_has_no_outcome(log):
    log["samples"][0] |= {"scores": None, "error": {"message": "out of time"}}
    (one, _), _ = read(log)
    assert (one.outcome, one.extra["error"]) == (None, {"message": "out of time"})


def test_a_log_without_samples_is_an_error_with_its_place(log):
    del log["samples"]
    assert fits(log, "x.json")
    with pytest.raises(DataError, match="row 1: a log without samples"):
        read(log)


def test_a_bad_sample_leaves_the_others(log):
    log["samples"].insert(0, {"epoch": 1})
    rows = Rows.of([log], on_error="skip")
    assert len(list(rollouts(rows))) == 2
    assert "'id' is missing" in rows.skipped[0].message
