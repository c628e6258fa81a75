"""AgentDebugX: trajectories of events, and the reports of its diagnosis as blame.

A row is a trajectory {"trace_id", "events", ...}, a report {"report_id", "trace_id", "findings", ...}, or an object
with both under `trajectory` and `report`. Reports may stand in files of their own (its stores write
`traces.reports.jsonl`, or `report.json` beside `trajectory.json`): read them together with the trajectories, which are
held in memory for this. A report of a trace that is not there is an error.
- group: `task_id`, else a short hash of the goal. rollout: `trace_id`. task: `goal`. outcome: `metadata.success` of the
  last event that has it, as its recorder writes at the end of a run; else unknown.
- step: an event in which an agent acts: `agent.step`, `llm.response`, `tool.call`, `plan`, `reflection`, `handoff`,
  `memory.read`, `memory.write`, or any of a kind that is not named below. An `llm.call` is one too, unless the next
  event answers it: then its input is the step's field `input`. agent: `agent_name`. text: `output`, as JSON if it is no
  text. tool calls: of `tool.call`, its tool (`tool`, `tool_name`, `name` or `function` of its metadata or input, else
  `module`) and input; its output is a reply.
- replies: events `tool.result`, `observation`, `error`, `human.feedback`, `guardrail`, `run.start` and `run.end`; one
  with an `error` failed. Those before the first step are context; the goal is, too.
- blame: the root cause of each report, with the type and confidence of the finding there; then its other findings.
  by: "agentdebugx", and the analyzer if it is named. A finding points at its event, else at its `step_index`; one that
  points nowhere is left out, with a note. A report without a root cause and findings blames no step.
- origin: event, trace, time and duration. Artifacts of images are images.
- not known: states, rewards of steps, tokens.
Other fields are kept. Written against agentdebugx 0.5.2.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from stepcredit.data.formats._fields import key, need, number, rest, text
from stepcredit.data.formats._messages import as_text, observe, plain_call
from stepcredit.data.formats._traces import (
    UNNAMED,
    Made,
    a_list,
    a_map,
    a_str,
    digest,
    named,
    need_map,
    origin,
    real,
    seconds,
)
from stepcredit.data.records import Blame, Message, Rollout, Step, ToolCall
from stepcredit.data.rows import Rows
from stepcredit.data.storage import Row
from stepcredit.errors import DataError

FIELDS = ("trace_id", "task_id", "goal", "events", "report_id", "findings")
_USED = ("trace_id", "task_id", "goal", "events", "group", "rollout", "outcome", "trajectory", "report")
_GIVEN = {
    "tool.result": "tool",
    "observation": "environment",
    "error": "environment",
    "human.feedback": "user",
    "guardrail": "guardrail",
    "run.start": "system",
    "run.end": "system",
}
_TOOLS = ("tool", "tool_name", "name", "function")
_EVENT_USED = ("event_id", "trace_id", "agent_name", "event_type", "timestamp", "output", "error", "duration_ms")


def fits(first: Mapping[str, Any], path: str) -> bool:
    """A trajectory with `trace_id` and `events`, a report with `report_id` and `trace_id`, or both in one."""
    if "report_id" in first and "trace_id" in first:
        return "findings" in first
    if isinstance(first.get("trajectory"), Mapping):
        first = first["trajectory"]
    return isinstance(first.get("events"), list) and "trace_id" in first


def rollouts(rows: Rows) -> Iterator[Rollout]:
    """One rollout a trajectory, when all reports are read."""
    return named(rows, _made(rows))


def _made(rows: Rows) -> Iterator[Made]:
    found: dict[str, tuple[Made, dict[str, int], dict[int, int]]] = {}
    reports: list[tuple[Row, Mapping[str, Any]]] = []
    for row in rows:
        with rows.guard(row):
            value = row.value
            if "report_id" in value:
                reports.append((row, value))
                continue
            trace = need_map(value.get("trajectory", value), "field 'trajectory'")
            name = need(trace, "trace_id", str)
            if name in found:
                raise DataError("two trajectories have one trace_id", rollout=name)
            rollout, by_event, by_index = _rollout(trace, value)
            if isinstance(value.get("report"), Mapping):
                reports.append((row, value["report"]))
            found[name] = (Made(row, rollout), by_event, by_index)
    for row, report in reports:
        with rows.guard(row):
            name = need(report, "trace_id", str)
            if name not in found:
                raise DataError(
                    "a report of a trajectory that is not among the files", got=name, expected="its trace_id"
                )
            one, by_event, by_index = found[name]
            one.rollout.blame += _blame(report, by_event, by_index, rows)
    yield from (one for one, _, _ in found.values())


def _rollout(trace: Mapping[str, Any], row: Mapping[str, Any]) -> tuple[Rollout, dict[str, int], dict[int, int]]:
    """A rollout, and the step of each event and of each step index."""
    goal = text(trace.get("goal"), "goal")
    walk = _Walk(need(trace, "trace_id", str))
    if goal:
        walk.context.append(Message(role="user", content=goal))
    for i, event in enumerate(need(trace, "events", list)):
        walk.event(need_map(event, f"event {i}"))
    walk.end()
    for step in walk.steps:
        if step.replies:
            observe(step)
    group = row.get("group", trace.get("task_id"))
    rollout = Rollout(
        group=key(group, "task_id") if group is not None else digest(goal) if goal else UNNAMED,
        rollout=key(row.get("rollout", trace.get("trace_id")), "trace_id"),
        outcome=number(row["outcome"], "outcome") if "outcome" in row else walk.outcome,
        task=goal,
        context=walk.context,
        steps=walk.steps,
        extra=rest({**row, **trace}, _USED, Rollout.__struct_fields__),
    )
    return rollout, walk.by_event, walk.by_index


class _Walk:
    """Takes events in their order into steps and replies."""

    def __init__(self, trace: str) -> None:
        self.context: list[Message] = []
        self.steps: list[Step] = []
        self.by_event: dict[str, int] = {}
        self.by_index: dict[int, int] = {}
        self.outcome: float | None = None
        self._trace = trace
        self._call: Mapping[str, Any] | None = None  # a call of a model that is not answered yet

    def event(self, event: Mapping[str, Any]) -> None:
        kind = event.get("event_type", "agent.step")
        success = a_map(event.get("metadata")).get("success")
        if isinstance(success, bool):
            self.outcome = float(success)
        if self._call is not None and kind == "llm.response":
            call, self._call = self._call, None
            self._act({**event, "input": event.get("input") if event.get("input") is not None else call.get("input")})
            self._point(call)
        else:
            self.end()
            if kind == "llm.call" and event.get("output") is None and not event.get("error"):
                self._call = event
                return
            if isinstance(kind, str) and kind in _GIVEN:
                self._hear(event, _GIVEN[kind])
            else:
                self._act(event)
        self._point(event)

    def end(self) -> None:
        """A call that nothing answered is a step."""
        call, self._call = self._call, None
        if call is not None:
            self._act(call)
            self._point(call)

    def _point(self, event: Mapping[str, Any]) -> None:
        at = max(len(self.steps) - 1, 0)
        if self.steps and isinstance(event.get("event_id"), str):
            self.by_event.setdefault(event["event_id"], at)
        index = event.get("step_index")
        if self.steps and isinstance(index, int) and not isinstance(index, bool):
            self.by_index.setdefault(index, at)

    def _hear(self, event: Mapping[str, Any], role: str) -> None:
        error = text(event.get("error"), "error")
        content = "\n".join(filter(None, (_shown(event.get("output")), error)))
        message = Message(role=role, content=content, name=_tool(event, None), error=True if error else None)
        message.images = _images(event)
        if role == "system" and not error and not self.steps:
            return  # the start of a run repeats the goal
        if not self.steps:
            self.context.append(message)
        elif content or message.images:
            self.steps[-1].replies.append(message)

    def _act(self, event: Mapping[str, Any]) -> None:
        error = text(event.get("error"), "error")
        is_call = event.get("event_type") == "tool.call"
        calls = []
        if is_call:
            calls = [ToolCall(name=_tool(event, "tool") or "tool", arguments=event.get("input"), id=None)]
        took = real(event.get("duration_ms"))
        step = Step(
            agent=text(event.get("agent_name"), "agent_name"),
            text=None if is_call else _shown(event.get("output")),
            action=as_text([plain_call(c) for c in calls]) if calls else None,
            tool_calls=calls,
            images=[] if is_call else _images(event),
            origin=origin(
                id=a_str(event.get("event_id")),
                trace=self._trace,
                start=seconds(event.get("timestamp")),
                seconds=took / 1000 if took is not None else None,
                error=None if is_call else error,
            ),
            extra=_extra(event, is_call),
        )
        self.steps.append(step)
        content = "\n".join(filter(None, (_shown(event.get("output")), error)))
        if is_call and content:
            reply = Message(role="tool", content=content, name=calls[0].name, error=True if error else None)
            reply.images = _images(event)
            step.replies.append(reply)


def _extra(event: Mapping[str, Any], is_call: bool) -> dict[str, Any]:
    extra = rest(event, (*_EVENT_USED, "artifacts", "input" if is_call else None), Step.__struct_fields__)
    return {"event_type": event.get("event_type"), **{k: v for k, v in extra.items() if v is not None and v != {}}}


def _shown(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)


def _tool(event: Mapping[str, Any], default: str | None) -> str | None:
    """The tool of an event."""
    holders = (a_map(event.get("metadata")), a_map(event.get("input")))
    found = (a_str(holder.get(f)) for holder in holders for f in _TOOLS)
    return next((f for f in found if f), (a_str(event.get("module")) or default) if default else None)


def _images(event: Mapping[str, Any]) -> list[str]:
    given = [a_map(a) for a in a_list(event.get("artifacts"), "artifacts")]
    return [a["uri"] for a in given if a.get("modality") == "image" and isinstance(a.get("uri"), str)]


def _blame(
    report: Mapping[str, Any], by_event: Mapping[str, int], by_index: Mapping[int, int], rows: Rows
) -> list[Blame]:
    analyzer = a_str(a_map(report.get("metadata")).get("analyzer"))
    by = f"agentdebugx/{analyzer}" if analyzer else "agentdebugx"
    summary = text(report.get("summary"), "summary")
    findings = [need_map(f, "a finding") for f in a_list(report.get("findings"), "findings")]
    placed = [(_place(f, "", by_event, by_index), f) for f in findings]
    if any(at is None for at, _ in placed):
        rows.note("findings of AgentDebugX that point at no event are left out")
    root = _place(report, "root_cause_", by_event, by_index)
    out = []
    if root is not None:
        cause = next((f for at, f in placed if at == root), None)
        agent = text(report.get("root_cause_agent"), "root_cause_agent")
        found = _finding(by, root, cause) if cause is not None else Blame(by=by, step=root)
        found.agent, found.reason = agent or found.agent, summary or found.reason
        out.append(found)
        placed = [(at, f) for at, f in placed if f is not cause]
    elif not findings:
        out.append(Blame(by=by, step=None, reason=summary))
    return out + [_finding(by, at, f) for at, f in placed if at is not None]


def _place(
    given: Mapping[str, Any], prefix: str, by_event: Mapping[str, int], by_index: Mapping[int, int]
) -> int | None:
    event, index = given.get(f"{prefix}event_id"), given.get(f"{prefix}step_index")
    if isinstance(event, str) and event in by_event:
        return by_event[event]
    return by_index.get(index) if isinstance(index, int) and not isinstance(index, bool) else None


def _finding(by: str, step: int, finding: Mapping[str, Any]) -> Blame:
    mode = a_map(finding.get("failure_mode"))
    said = [e for e in a_list(finding.get("evidence"), "evidence") if isinstance(e, str)]
    return Blame(
        by=by,
        step=step,
        agent=text(finding.get("agent_name"), "agent_name"),
        error=a_str(mode.get("mode_id")) or a_str(mode.get("name")),
        reason="\n".join(said) or a_str(mode.get("description")),
        confidence=number(finding.get("confidence"), "confidence"),
        evidence={k: v for k in ("suggestion", "quote_verified") if (v := finding.get(k)) is not None},
    )
