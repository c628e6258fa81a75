"""Runs of LangSmith, flat (a row each, as its client, its API and its bulk exports write them) or nested
(`child_runs`), and feedback, a row each.

- rollout: a trace, by its id; with by=session all traces of a thread. Memory holds all the runs of the files.
- step: a run of type llm, parents before their children, then by `dotted_order` or start. tools: runs of type tool.
  agent: the metadata `lc_agent_name`, `agent_name` or `langgraph_node`. origin: run, trace, model, time, tokens, cost.
- group: `reference_example_id` (the example of a dataset that was attempted), else `task_id` or `group` in the metadata
  (or the field there that group= names), else a hash of the opening. A thread is no task: it is kept among the other
  fields.
- feedback: of a run of a step: evidence, and blame where its value in words says right or wrong; of the root: rewards,
  and the outcome where one is called outcome, correct, success (or as outcome= says). The averages in `feedback_stats`
  are read where there is no row of feedback of that name.
- not known: states, rewards of steps, tokens.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from stepcredit.data.formats._spans import (
    Dialect,
    Gathered,
    Kind,
    Mark,
    Said,
    Span,
    Used,
    as_count,
    as_key,
    as_number,
    as_text,
    as_time,
    decoded,
)
from stepcredit.data.formats._spans_marks import told_outcome
from stepcredit.data.formats._spans_messages import chat, spoken
from stepcredit.data.formats._spans_rollout import traces
from stepcredit.data.records import Rollout
from stepcredit.data.rows import Rows
from stepcredit.data.storage import Row
from stepcredit.errors import DataError

FIELDS = ("id", "trace_id", "run_type", "inputs", "outputs", "parent_run_id", "run_id", "key", "score")
_KINDS: dict[str, Kind] = {"llm": "model", "tool": "tool"}
_AGENT = ("lc_agent_name", "agent_name", "langgraph_node")
_GROUP = ("task_id", "group")
_SESSION = ("session_id", "thread_id", "conversation_id")


def fits(first: Mapping[str, Any], path: str) -> bool:
    """A run, or feedback."""
    return (isinstance(first.get("run_type"), str) and "inputs" in first) or _feedback_like(first)


def _feedback_like(row: Mapping[str, Any]) -> bool:
    return "run_id" in row and "key" in row and ("score" in row or "value" in row)


def rollouts(rows: Rows, *, by: str = "trace", group: str = "", outcome: str = "") -> Iterator[Rollout]:
    """One rollout a trace.

    Args:
        by: "trace", or "session": all traces of a thread are one rollout.
        group: the field of a run's metadata that names the task.
        outcome: the feedback on a trace that is its outcome, or the field of its metadata.
    """
    if by not in ("trace", "session"):
        raise DataError("option by", got=by, expected="trace or session")
    gathered = Gathered()
    feedback: list[Mapping[str, Any]] = []
    for row in rows:
        with rows.guard(row):
            if _feedback_like(row.value):
                feedback.append(row.value)
            else:
                _runs(row.value, row, gathered, (group,) if group else _GROUP, outcome)
    _settle(feedback, gathered)
    if by == "session":
        gathered.by("session")
    yield from traces(gathered, rows, Dialect(_said, _used), outcome, group)


def _runs(top: Mapping[str, Any], row: Row, gathered: Gathered, group: tuple[str, ...], outcome: str) -> None:
    """A run and the runs within it."""
    waiting: list[tuple[Mapping[str, Any], str | None, str | None]] = [(top, None, None)]
    while waiting:
        run, parent, trace = waiting.pop()
        name = as_text(run.get("trace_id")) or trace or as_text(run.get("id"))
        if name is None or as_text(run.get("id")) is None:
            raise DataError("a run without an id", got=run.get("name"), expected="fields id, trace_id, run_type")
        _run(run, name, parent, row, gathered, group, outcome)
        inner = run.get("child_runs")
        waiting += (
            [(c, as_text(run.get("id")), name) for c in inner if isinstance(c, Mapping)]
            if isinstance(inner, list)
            else []
        )


def _run(
    run: Mapping[str, Any],
    name: str,
    parent: str | None,
    row: Row,
    gathered: Gathered,
    group: tuple[str, ...],
    outcome: str,
) -> None:
    metadata = _metadata(run)
    kind = _KINDS.get(str(run.get("run_type")), "other")
    end = as_time(run.get("end_time"))
    error = as_text(run.get("error"))
    span = Span(
        trace=name,
        id=as_text(run.get("id")) or "",
        parent=as_text(run.get("parent_run_id")) or parent,
        name=as_text(run.get("name")) or "",
        kind=kind,
        start=as_time(run.get("start_time")),
        end=end,
        agent=next((text for n in _AGENT if (text := as_text(metadata.get(n)))), None),
        error=None if error is None else error.partition("\n\nTraceback")[0],
        open=end is None,
        raw=run if kind != "other" else None,
    )
    trace = gathered.add(span, row)
    facts = trace.facts
    if "group" not in facts:
        told = (run.get("reference_example_id"), *(metadata.get(n) for n in group))
        found = next((key for one in told if (key := as_key(one)) is not None), None)
        if found is not None:
            facts["group"] = found
    told_outcome(facts, outcome, metadata, top=span.parent is None)
    session = next((text for n in _SESSION if (text := as_text(metadata.get(n)))), None)
    extra = facts.setdefault("extra", {})
    if session is not None:
        facts["session"] = extra["session"] = session
    if span.parent is None:
        shown = {"name": run.get("name"), "project": run.get("session_name"), "tags": run.get("tags")}
        extra |= {k: v for k, v in shown.items() if v}
    stats = decoded(run.get("feedback_stats"))
    for key, told in stats.items() if isinstance(stats, Mapping) else ():
        average = as_number(told.get("avg")) if isinstance(told, Mapping) else None
        if average is not None:
            trace.marks.append(Mark(str(key), average, span=span.id, by="stats"))


def _settle(feedback: list[Mapping[str, Any]], gathered: Gathered) -> None:
    """Give feedback to the traces of its runs; it goes before the averages of that name."""
    homes = {span.id: trace for trace in gathered.traces.values() for span in trace.spans.values()} if feedback else {}
    told: set[tuple[str | None, str]] = set()
    for one in feedback:
        run, key = as_text(one.get("run_id")), as_text(one.get("key"))
        trace = homes.get(run or "") or gathered.traces.get(as_text(one.get("trace_id")) or "")
        if trace is None or key is None:
            gathered.odd["feedback whose run is not there (left out)"] += 1
            continue
        score, value = one.get("score"), one.get("value")
        source = one.get("feedback_source")
        by = as_text(source.get("user_name")) or as_text(source.get("type")) if isinstance(source, Mapping) else None
        number = as_number(score) if not isinstance(score, bool) else float(score)
        label = as_text(value) if as_number(value) is None else None
        trace.marks.append(Mark(key, number, label, as_text(one.get("comment")), by, run))
        told.add((run, key))
    for trace in gathered.traces.values() if told else ():
        trace.marks = [m for m in trace.marks if m.by != "stats" or (m.span, m.name) not in told]


def _metadata(run: Mapping[str, Any]) -> Mapping[str, Any]:
    extra = decoded(run.get("extra"))
    found = extra.get("metadata") if isinstance(extra, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def _said(span: Span) -> Said:
    run = span.raw
    outputs = decoded(run.get("outputs"))
    metadata = _metadata(run)
    usage = _usage(run, outputs, metadata)
    return Said(
        given=chat(decoded(run.get("inputs"))),
        said=spoken(_output(outputs)),
        model=as_text(metadata.get("ls_model_name")),
        response=as_text(outputs.get("id")) if isinstance(outputs, Mapping) else None,
        input_tokens=as_count(usage.get("input_tokens", usage.get("prompt_tokens"))),
        output_tokens=as_count(usage.get("output_tokens", usage.get("completion_tokens"))),
        cost=as_number(run.get("total_cost")),
    )


def _output(outputs: Any) -> Any:
    """The outputs, where they hold more than an account of tokens."""
    if isinstance(outputs, Mapping):
        outputs = {k: v for k, v in outputs.items() if k not in ("usage_metadata", "llm_output", "run", "type")}
        if set(outputs) == {"output"}:
            return outputs["output"]
    return outputs


def _usage(run: Mapping[str, Any], outputs: Any, metadata: Mapping[str, Any]) -> Mapping[str, Any]:
    inner = outputs if isinstance(outputs, Mapping) else {}
    called = inner.get("llm_output")
    found = (
        {k: run[k] for k in ("prompt_tokens", "completion_tokens") if run.get(k) is not None},
        metadata.get("usage_metadata"),
        inner.get("usage_metadata"),
        inner.get("usage"),
        called.get("token_usage") if isinstance(called, Mapping) else None,
    )
    return next((f for f in found if isinstance(f, Mapping) and f), {})


def _used(span: Span) -> Used:
    run = span.raw
    inputs, outputs = decoded(run.get("inputs")), decoded(run.get("outputs"))
    if isinstance(inputs, Mapping) and set(inputs) == {"input"}:
        inputs = decoded(inputs["input"])
    told = outputs.get("output", outputs) if isinstance(outputs, Mapping) else outputs
    call = None
    if isinstance(told, Mapping):
        inner = told.get("kwargs") if told.get("lc") == 1 else told
        if isinstance(inner, Mapping) and "tool_call_id" in inner:
            call, told = inner["tool_call_id"], inner.get("content")
    return Used(span.name or "tool", as_text(call), inputs, "" if told == "" else as_text(told) if told != {} else None)
