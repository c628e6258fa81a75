"""AgentDebugX: trajectories, and reports as blame."""

import copy
import json

import fixtures
import pytest
from fixtures import TRACES

from stepcredit.data.formats.agentdebugx import rollouts
from stepcredit.data.records import ToolCall, replies_of
from stepcredit.data.rows import Rows
from stepcredit.errors import DataError

TRACE = json.loads((TRACES / "agentdebugx.jsonl").read_text())
REPORT = json.loads((TRACES / "agentdebugx.reports.jsonl").read_text())


def read(*rows, **changes):
    return list(rollouts(Rows.of(copy.deepcopy(rows) or [copy.deepcopy(TRACE) | changes])))


def event(kind, number, **more):
    return {"event_id": f"e{number}", "trace_id": "t", "event_type": kind, "step_index": number, **more}


def trace(*events, **more):
    return {"trace_id": "t", "goal": "g", "events": list(events)} | more


def finding(**more):
    return {"failure_mode": {"mode_id": "action.wrong_tool", "name": "Wrong tool"}, "evidence": ["x", "y"]} | more


def report(*findings, **more):
    return {"report_id": "r", "trace_id": "t", "findings": list(findings), "summary": "s"} | more


def test_a_recorded_run():
    (one,) = fixtures.read("agentdebugx.jsonl")
    plan, call, tool, answer = one.steps
    assert (one.group, one.rollout, one.outcome, one.task) == ("seats-3", TRACE["trace_id"], 0.0, TRACE["goal"])
    assert [s.agent for s in one.steps] == ["planner", "worker", "worker", "worker"]
    assert (plan.text, call.text, call.extra["input"], call.origin.seconds) == (
        "Ask the table of seats.",
        "I call seats.",
        {"prompt": "Next?"},
        1.5,
    )
    assert tool.tool_calls == [ToolCall(name="seats", arguments={"flight": "HAT45"})]
    assert [(m.name, m.error, m.content) for m in replies_of(tool)] == [("seats", True, "timeout: no such flight")]
    assert (answer.text, answer.observation) == ('{"answer": 9}', "wrong answer")
    assert [m.content for m in one.context] == [TRACE["goal"]]


def test_a_report_of_its_analyzer_is_blame():
    (one,) = fixtures.read("agentdebugx.jsonl", "agentdebugx.reports.jsonl")
    first = one.blame[0]
    assert first.by == "agentdebugx/HeuristicAnalyzer" and first.step is not None and first.error and first.reason
    assert len(one.blame) == len(REPORT["findings"])


def test_a_report_may_come_first_or_with_its_trajectory():
    run, said = trace(event("agent.step", 0, output="a")), report(finding(event_id="e0"))
    for rows in ((said, run), (run, said), ({"trajectory": run, "report": said},)):
        (one,) = read(*rows)
        assert [(b.by, b.step, b.error, b.reason) for b in one.blame] == [
            ("agentdebugx", 0, "action.wrong_tool", "x\ny")
        ]


def test_the_root_cause_comes_first_with_what_is_known_of_it():
    run = trace(
        event("agent.step", 0, output="a"), event("tool.call", 1, input={}), event("tool.result", 2, output="b")
    )
    findings = [finding(step_index=0, confidence=0.2), finding(event_id="e2", confidence=0.9, agent_name="w")]
    (one,) = read(run, report(*findings, root_cause_event_id="e2", root_cause_agent="v"))
    assert [(b.step, b.agent, b.confidence) for b in one.blame] == [(1, "v", 0.9), (0, None, 0.2)]
    assert one.blame[0].reason == "s"


def test_a_report_without_a_fault_blames_no_step():
    (one,) = read(trace(event("agent.step", 0, output="a")), report())
    assert [(b.step, b.reason) for b in one.blame] == [(None, "s")]


def test_a_finding_that_points_nowhere_is_left_out_with_a_note():
    rows = Rows.of([trace(event("agent.step", 0, output="a")), report(finding(event_id="e7"))])
    (one,) = rollouts(rows)
    assert one.blame == [] and "point at no event" in rows.notes[0]


def test_a_call_that_nothing_answers_and_events_of_other_kinds_are_steps():
    (one,) = read(
        trace(event("llm.call", 0, input="q"), event("my.kind", 1, output="a"), event("llm.call", 2, input="r"))
    )
    assert [(s.text, s.extra["event_type"]) for s in one.steps] == [
        (None, "llm.call"),
        ("a", "my.kind"),
        (None, "llm.call"),
    ]


def test_the_outcome_is_that_of_the_recorder():
    assert read(trace(event("run.end", 0, metadata={"success": True})))[0].outcome == 1.0
    assert read(trace(event("run.end", 0)))[0].outcome is None


@pytest.mark.parametrize(
    ("rows", "says", "at"),
    [
        ([trace(3)], "event 0 must be an object", 1),
        ([trace(event("agent.step", 0, error=5))], "'error' must hold text", 1),
        ([{"trace_id": "t", "events": {}}], "'events' has the wrong type", 1),
        ([trace(), trace()], "two trajectories", 2),
        ([trace(), report() | {"trace_id": "u"}], "not among the files", 2),
        ([trace(), report(4)], "a finding must be an object", 2),
    ],
)
def test_what_is_wrong_is_said(rows, says, at):
    with pytest.raises(DataError, match=says) as error:
        read(*rows)
    assert error.value.row == at
