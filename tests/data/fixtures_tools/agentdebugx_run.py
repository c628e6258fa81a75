"""A trajectory recorded, and diagnosed, by AgentDebugX.

python agentdebugx_run.py FOLDER    (agentdebugx 0.5.2)
"""

import json
import sys
from pathlib import Path

from agentdebug import AgentDebug
from agentdebug.schema import EventType, FailureFinding, model_to_dict

OUT = Path(sys.argv[1])
store = OUT / "agentdebugx.jsonl"
debug = AgentDebug.__new__(AgentDebug)
try:
    from agentdebug.runtime.storage import JsonlTraceStore

    debug = AgentDebug(store=JsonlTraceStore(str(store)))
except TypeError:
    debug = AgentDebug()
trace = debug.start_trace(goal="How many seats are left on HAT045?", task_id="seats-3", framework="script")


def record(kind, **what):
    debug.record_event(trace, event_type=kind, **what)


record(EventType.PLAN, agent_name="planner", step_index=0, output="Ask the table of seats.")
record(EventType.LLM_CALL, agent_name="worker", step_index=1, input={"prompt": "Next?"})
record(EventType.LLM_RESPONSE, agent_name="worker", step_index=1, output="I call seats.", duration_ms=1500.0)
record(EventType.TOOL_CALL, agent_name="worker", step_index=2, module="seats", input={"flight": "HAT45"}, tool="seats")
record(EventType.TOOL_RESULT, agent_name="worker", step_index=2, error="timeout: no such flight", tool="seats")
record(EventType.AGENT_STEP, agent_name="worker", step_index=3, output={"answer": 9})
debug.finish_trace(trace, success=False, error="wrong answer")
report = debug.analyze(trace)
if report.root_cause_event_id is None and report.findings:
    report.root_cause_event_id = report.findings[0].event_id
assert isinstance(report.findings[0], FailureFinding)
rows = [model_to_dict(trace)]
store.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
store.with_name("agentdebugx.reports.jsonl").write_text(json.dumps(model_to_dict(report)) + "\n", encoding="utf-8")
