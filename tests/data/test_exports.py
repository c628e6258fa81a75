"""What other tools read: what is written comes back by the importer of that tool."""

import csv
import gzip
import json
import re
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from stepcredit.app.convert import convert as convert_command
from stepcredit.data import Blame, Message, Origin, Reading, Rollout, Step, ToolCall, exports, read, write
from stepcredit.data.exports import export
from stepcredit.errors import DataError, StepCreditError, UnknownName

TRACES = Path(__file__).parent / "traces"
WRONG = Blame(by="contrast", step=1, agent="b", label=-1, error="tool_misuse", reason="no such city", confidence=0.75)


def rollout(**fields):
    origins = [
        Origin(
            id=f"{i:016x}",
            trace="0" * 31 + "1",
            response=f"r{i}",
            start=1.8e9 + i,
            seconds=2.0,
            input_tokens=3,
            output_tokens=1,
        )
        for i in range(2)
    ]
    call = ToolCall(name="f", arguments='{"x": 1}', id="c1")
    steps = [
        Step(
            agent="a",
            text="=1+1",
            tool_calls=[call],
            observation="2",
            replies=[Message(role="tool", name="f", call="c1")],
            credit={"gigpo": 0.5},
            evidence={"value": 0.25},
            reward=1.0,
            origin=origins[0],
        ),
        Step(agent="b", text="two", credit={"gigpo": None}, evidence={"votes": [1.0, 0.0]}, origin=origins[1]),
    ]
    given = {
        "group": "g",
        "rollout": 7,
        "outcome": 0.0,
        "context": [Message(role="user", content="1+1?")],
        "steps": steps,
        "blame": [WRONG],
    }
    return Rollout(**{**given, **fields})


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def records(path):
    return [r for line in lines(path) for s in line["resourceLogs"] for c in s["scopeLogs"] for r in c["logRecords"]]


def test_there_are_these():
    assert exports.names() == ["atif", "csv", "langfuse_scores", "otel_events"]


def test_events_of_opentelemetry(tmp_path):
    count = export([rollout()], tmp_path / "e.jsonl", "otel_events")
    assert count == 1
    credit, blame = records(tmp_path / "e.jsonl")
    assert credit["eventName"] == "gen_ai.evaluation.result"
    assert (credit["traceId"], credit["spanId"]) == ("0" * 31 + "1", "0" * 16)
    told = {a["key"]: next(iter(a["value"].values())) for a in credit["attributes"]}
    assert told["gen_ai.evaluation.name"] == "gigpo"
    assert told["gen_ai.evaluation.score.value"] == 0.5
    assert told["gen_ai.response.id"] == "r0"
    told = {a["key"]: next(iter(a["value"].values())) for a in blame["attributes"]}
    assert told["gen_ai.evaluation.score.label"] == "wrong"
    assert told["gen_ai.evaluation.explanation"] == "no such city"
    assert (told["stepcredit.by"], told["stepcredit.step"]) == ("contrast", "1")


def test_events_beside_their_spans_give_the_scores_back(tmp_path):
    folder = tmp_path / "both"
    folder.mkdir()
    spans = (TRACES / "otel_openllmetry.jsonl").read_text()
    folder.joinpath("a.jsonl").write_text(spans)
    (one,) = Reading(folder)
    one.steps[1].credit = {"gigpo": -0.5}
    one.steps[2].evidence = {"value": 0.5}
    one.blame = [
        Blame(by="contrast", step=1, agent="reporter", error="tool_failed", reason="it failed", confidence=0.5)
    ]
    export([one], folder / "b.jsonl", "otel_events", what="credit,blame,evidence")
    (back,) = Reading(folder)
    assert back == one


def test_ids_that_are_not_those_of_opentelemetry_stand_apart(tmp_path):
    one = rollout()
    one.steps[0].origin = Origin(id="run-1", trace="abc")
    export([one], tmp_path / "e.jsonl", "otel_events")
    record = records(tmp_path / "e.jsonl")[0]
    told = {a["key"]: next(iter(a["value"].values())) for a in record["attributes"]}
    assert not {"traceId", "spanId"} & record.keys()
    assert (told["stepcredit.trace"], told["stepcredit.span"]) == ("abc", "run-1")


def test_scores_of_langfuse(tmp_path):
    export([rollout()], tmp_path / "s.jsonl", "langfuse_scores", what="credit,blame,evidence,reward", prefix="sc.")
    found = lines(tmp_path / "s.jsonl")
    assert [(s["name"], s["value"], s["observationId"][-1]) for s in found] == [
        ("sc.gigpo", 0.5, "0"),
        ("sc.reward", 1.0, "0"),
        ("sc.value", 0.25, "0"),
        ("sc.blame", -1.0, "1"),
    ]
    assert found[3]["comment"] == "wrong: no such city"
    assert all(re.fullmatch(r"[0-9a-f]{32}", s["id"]) and s["dataType"] == "NUMERIC" for s in found)
    assert len({s["id"] for s in found}) == 4


def test_scores_beside_their_observations_give_credit_and_blame_back(tmp_path):
    folder = tmp_path / "both"
    folder.mkdir()
    folder.joinpath("a.json").write_text((TRACES / "langfuse_trace.json").read_text())
    (one,) = Reading(folder)
    one.steps[1].credit = {"gigpo": -0.5}
    one.blame = [Blame(by="contrast", step=1, agent="reporter", error="tool_failed", reason="it failed")]
    export([one], folder / "b.jsonl", "langfuse_scores")
    (back,) = Reading(folder)
    assert back.steps[1].credit == {"gigpo": -0.5}
    (blame,) = back.blame
    assert (blame.by, blame.step, blame.label, blame.error) == ("contrast", 1, -1, "tool_failed")
    assert blame.evidence == {}


def test_what_langfuse_cannot_place_is_left_out(tmp_path):
    one = rollout()
    for step in one.steps:
        step.origin = None
    with pytest.raises(DataError, match="there are no lines of langfuse_scores"):
        export([one], tmp_path / "s.jsonl", "langfuse_scores")
    assert not list(tmp_path.iterdir())


def test_a_table_of_steps(tmp_path):
    more = rollout(rollout=8)
    more.steps[0].credit = {"grpo": 1.0}
    assert export([rollout(), more], tmp_path / "t.csv", "csv") == 5
    with (tmp_path / "t.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(r["rollout"], r["step"]) for r in rows] == [("7", "0"), ("7", "1"), ("8", "0"), ("8", "1")]
    assert [r["credit.gigpo"] for r in rows] == ["0.5", "", "", ""]
    assert rows[2]["credit.grpo"] == "1.0"
    assert (rows[0]["tools"], rows[0]["observation"], rows[0]["evidence.value"]) == ("f", "2", "0.25")
    assert (rows[1]["blame"], rows[1]["blame_by"], rows[1]["blame_error"]) == ("-1", "contrast", "tool_misuse")
    assert rows[1]["blame_confidence"] == "0.75" and rows[0]["blame_confidence"] == ""


def test_a_spreadsheet_runs_no_text(tmp_path):
    export([rollout()], tmp_path / "t.csv", "csv")
    with (tmp_path / "t.csv").open(newline="") as file:
        assert next(csv.DictReader(file))["text"] == "'=1+1"


def test_texts_of_a_table_are_cut_and_lines_kept_apart(tmp_path):
    one = rollout()
    one.steps[0].text = 'a "b",\nc' + "x" * 100
    export([one], tmp_path / "t.csv", "csv", longest="12")
    with (tmp_path / "t.csv").open(newline="") as file:
        assert next(csv.DictReader(file))["text"] == 'a "b",\ncxxx…'


def test_trajectories_of_atif_come_back(tmp_path):
    export([rollout()], tmp_path / "a.jsonl", "atif")
    (told,) = lines(tmp_path / "a.jsonl")
    assert [s["step_id"] for s in told["steps"]] == [1, 2, 3]
    assert [s["source"] for s in told["steps"]] == ["user", "agent", "agent"]
    assert told["steps"][1]["tool_calls"] == [{"tool_call_id": "c1", "function_name": "f", "arguments": {"x": 1}}]
    assert told["steps"][1]["observation"] == {"results": [{"source_call_id": "c1", "content": "2"}]}
    assert told["steps"][1]["extra"]["stepcredit"]["credit"] == {"gigpo": 0.5}
    assert told["steps"][2]["extra"]["agent"] == "b"
    assert told["steps"][2]["extra"]["stepcredit"]["blame"][0]["error"] == "tool_misuse"
    assert told["notes"] == "contrast: step 1 is wrong (tool_misuse): no such city"
    assert told["final_metrics"] == {"total_steps": 3, "total_prompt_tokens": 6, "total_completion_tokens": 2}
    (back,) = Reading(tmp_path / "a.jsonl", format="atif")
    assert [(s.text, s.observation) for s in back.steps] == [("=1+1", "2"), ("two", None)]
    assert [m.content for m in back.context] == ["1+1?"]


def test_calls_without_ids_and_odd_arguments_are_valid_atif(tmp_path):
    one = rollout()
    one.steps[0].tool_calls = [
        ToolCall(name="f", arguments="x y"),
        ToolCall(name="g", id="c"),
        ToolCall(name="h", id="c"),
    ]
    export([one], tmp_path / "a.jsonl", "atif")
    (told,) = lines(tmp_path / "a.jsonl")
    calls = told["steps"][1]["tool_calls"]
    assert [c["arguments"] for c in calls] == [{"value": "x y"}, {}, {}]
    assert len({c["tool_call_id"] for c in calls}) == 3


def test_a_rollout_of_nothing_is_no_atif(tmp_path):
    with pytest.raises(DataError, match="has no steps"):
        export([Rollout(group=1, rollout=2)], tmp_path / "a.jsonl", "atif")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", exports.names())
def test_each_streams_packs_and_changes(tmp_path, name):
    suffix = exports.get(name).SUFFIXES[0]

    def change(one):
        for step in one.steps:
            step.text = "removed"
        return one

    def some():
        for i in range(3):
            yield rollout(rollout=i)

    plain, packed = tmp_path / f"x{suffix}", tmp_path / f"y{suffix}.gz"
    count = export(some(), plain, name, change=change)
    assert count == len(plain.read_text().splitlines())
    export(some(), packed, name, change=change)
    assert gzip.decompress(packed.read_bytes()) == plain.read_bytes()
    assert b"two" not in plain.read_bytes()


def test_a_batch_can_be_exported(tmp_path):
    batch = read(TRACES / "otel_genai.jsonl")
    assert export(batch, tmp_path / "e.jsonl", "otel_events") == 1


def test_a_failure_on_the_way_leaves_no_file(tmp_path):
    def broken():
        yield rollout()
        raise RuntimeError("lost")

    with pytest.raises(RuntimeError, match="lost"):
        export(broken(), tmp_path / "t.csv", "csv")
    assert not list(tmp_path.iterdir())


def convert(*arguments):
    """The command, with its output."""
    app = typer.Typer()
    app.command()(convert_command)
    return CliRunner().invoke(app, [str(a) for a in arguments])


def test_the_command_writes_for_other_tools_and_takes_secrets_out(tmp_path):
    one = rollout()
    one.steps[1].text = "export TOKEN=ghp_0123456789abcdefghijABCDEFGHIJ012345"
    write([one], tmp_path / "ours.jsonl")
    done = convert(tmp_path / "ours.jsonl", "-o", tmp_path / "t.csv", "--to", "csv:longest=50")
    assert done.exit_code == 0, done.output
    assert "ghp_" not in (tmp_path / "t.csv").read_text()
    assert "taken out: " in done.output and "3 lines of csv" in done.output
    assert convert(tmp_path / "ours.jsonl", "-o", tmp_path / "all.csv", "--to", "csv", "--no-redact").exit_code == 0
    assert "ghp_" in (tmp_path / "all.csv").read_text()


def test_the_command_keeps_our_own_records_whole_unless_told_otherwise(tmp_path):
    one = rollout()
    one.steps[1].text = "ghp_0123456789abcdefghijABCDEFGHIJ012345"
    write([one], tmp_path / "ours.jsonl")
    assert convert(tmp_path / "ours.jsonl", "-o", tmp_path / "same.jsonl").exit_code == 0
    assert (tmp_path / "same.jsonl").read_bytes() == (tmp_path / "ours.jsonl").read_bytes()
    assert convert(tmp_path / "ours.jsonl", "-o", tmp_path / "clean.jsonl", "--redact").exit_code == 0
    (clean,) = Reading(tmp_path / "clean.jsonl")
    assert "ghp_" not in clean.steps[1].text


def test_the_command_tells_a_wrong_export(tmp_path):
    write([rollout()], tmp_path / "ours.jsonl")
    done = convert(tmp_path / "ours.jsonl", "-o", tmp_path / "t.csv", "--to", "xls")
    assert isinstance(done.exception, UnknownName)


def test_bad_requests_are_told(tmp_path):
    with pytest.raises(UnknownName, match="no export named 'otle_events'"):
        export([rollout()], tmp_path / "e.jsonl", "otle_events")
    with pytest.raises(DataError, match="does not say what to write"):
        export([rollout()], tmp_path / "e.csv", "otel_events")
    with pytest.raises(UnknownName, match="option of export 'csv'"):
        export([rollout()], tmp_path / "e.csv", "csv", long=1)
    with pytest.raises(StepCreditError, match="option longest='x'"):
        export([rollout()], tmp_path / "e.csv", "csv", longest="x")
    with pytest.raises(UnknownName, match="kind of score"):
        export([rollout()], tmp_path / "e.jsonl", "otel_events", what="blam")
    with pytest.raises(DataError, match="no such folder"):
        export([rollout()], tmp_path / "none" / "e.jsonl", "otel_events")


def test_an_export_of_nothing_says_what_would_make_something(tmp_path):
    bare = Rollout(group="p", rollout=0, steps=[Step(text="a")])
    with pytest.raises(DataError, match="there are no lines of otel_events to write") as error:
        export([bare], tmp_path / "x.jsonl", "otel_events")
    assert "first assign -o or diagnose -o" in error.value.hint and list(tmp_path.iterdir()) == []
