"""Exports of Langfuse: traces with their `observations` and `scores`, or observations, traces and scores, a row each
(as its API, its tables and its exports to a bucket write them; pages `{"data": [...]}` too).

- rollout: a trace, by its id; with by=session all traces of a session. Memory holds all the observations of the files.
- step: a GENERATION, parents before their children, then by start. tools: observations of type TOOL. agent: the nearest
  observation of type AGENT around it. origin: observation, trace, model, time, tokens, cost.
- group: `task_id` or `group` in the metadata (or the field there that group= names), else a hash of the opening. A
  session is no task: it is kept among the other fields.
- scores: of an observation: evidence of its step, and blame where a score in words says right or wrong; of a trace:
  rewards, and the outcome where one is called outcome, correct, success (or as outcome= says).
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

FIELDS = ("id", "traceId", "trace_id", "type", "observations", "scores", "metadata", "sessionId", "input", "output")
_KINDS: dict[str, Kind] = {"GENERATION": "model", "TOOL": "tool", "AGENT": "agent"}
_TYPES = {*_KINDS, "SPAN", "EVENT", "CHAIN", "RETRIEVER", "EVALUATOR", "EMBEDDING", "GUARDRAIL"}
_GROUP = ("task_id", "group", "taskId")


def fits(first: Mapping[str, Any], path: str) -> bool:
    """A trace with observations, an observation, a trace of a table, or a score."""
    page = first.get("data")
    if isinstance(page, list) and page and isinstance(page[0], Mapping) and "meta" in first:
        first = page[0]
    return _what(first) is not None


def _what(row: Mapping[str, Any]) -> str | None:
    """What a row is."""
    trace = row.get("traceId", row.get("trace_id"))
    subject = row.get("subject")
    if isinstance(subject, Mapping):
        trace = subject.get("id")
    if isinstance(row.get("observations"), list) and "id" in row:
        return "trace"
    if trace is not None and str(row.get("type")) in _TYPES and ("startTime" in row or "start_time" in row):
        return "observation"
    if trace is not None and "name" in row and "value" in row and not {"run_type", "key"} & row.keys():
        return "score"
    if "timestamp" in row and "name" in row and ("sessionId" in row or "session_id" in row) and "id" in row:
        return "trace"
    return None


def rollouts(rows: Rows, *, by: str = "trace", group: str = "", outcome: str = "") -> Iterator[Rollout]:
    """One rollout a trace.

    Args:
        by: "trace", or "session": all traces of a session are one rollout.
        group: the field of a trace's metadata that names the task.
        outcome: the score of a trace that is its outcome, or the field of its metadata.
    """
    if by not in ("trace", "session"):
        raise DataError("option by", got=by, expected="trace or session")
    gathered = Gathered()
    names = (group,) if group else _GROUP
    for row in rows:
        with rows.guard(row):
            page = row.value.get("data")
            for one in page if isinstance(page, list) else [row.value]:
                _take(one, row, gathered, names, outcome)
    if by == "session":
        gathered.by("session")
    for name in [n for n, t in gathered.traces.items() if t.marks and not t.spans]:
        gathered.odd["scores whose trace is not there (left out)"] += len(gathered.traces.pop(name).marks)
    yield from traces(gathered, rows, Dialect(_said, _used), outcome, group)


def _take(one: Any, row: Row, gathered: Gathered, group: tuple[str, ...], outcome: str) -> None:
    what = _what(one) if isinstance(one, Mapping) else None
    if what == "observation":
        _observation(one, None, row, gathered)
    elif what == "score":
        _score(one, None, row, gathered)
    elif what == "trace":
        _trace(one, row, gathered, group, outcome)
    else:
        raise DataError(
            "neither a trace, an observation nor a score", got=one, expected="fields id, traceId, type, ..."
        )


def _trace(one: Mapping[str, Any], row: Row, gathered: Gathered, group: tuple[str, ...], outcome: str) -> None:
    name = as_text(one.get("id"))
    if name is None:
        raise DataError("a trace without an id")
    trace = gathered.trace(name, row)
    metadata = decoded(one.get("metadata"))
    found = metadata if isinstance(metadata, Mapping) else {}
    for field in group:
        if "group" not in trace.facts and (told := as_key(found.get(field))) is not None:
            trace.facts["group"] = told
    told_outcome(trace.facts, outcome, found, top=True)
    session = as_text(_get(one, "sessionId", "session_id"))
    if session is not None:
        trace.facts["session"] = session
    shown = {"name": one.get("name"), "session": session, "tags": one.get("tags"), "metadata": found}
    trace.facts.setdefault("extra", {}).update({k: v for k, v in shown.items() if v})
    for field, take in (("observations", _observation), ("scores", _score)):
        listed = one.get(field)
        for inner in listed if isinstance(listed, list) else ():
            if isinstance(inner, Mapping):
                take(inner, name, row, gathered)


def _observation(one: Mapping[str, Any], trace: str | None, row: Row, gathered: Gathered) -> None:
    name = as_text(_get(one, "traceId", "trace_id")) or trace
    identity = as_text(one.get("id"))
    if name is None or identity is None:
        gathered.odd["observations without an id (left out)"] += 1
        return
    kind = _KINDS.get(str(one.get("type")), "other")
    end = as_time(_get(one, "endTime", "end_time"))
    failed = one.get("level") == "ERROR"
    gathered.add(
        Span(
            trace=name,
            id=identity,
            parent=as_text(_get(one, "parentObservationId", "parent_observation_id")),
            name=as_text(one.get("name")) or "",
            kind=kind,
            start=as_time(_get(one, "startTime", "start_time")),
            end=end,
            agent=as_text(one.get("name")) if kind == "agent" else None,
            error=(as_text(_get(one, "statusMessage", "status_message")) or "error") if failed else None,
            open=end is None and one.get("type") != "EVENT",
            raw=one if kind != "other" else None,
        ),
        row,
    )
    facts = gathered.trace(name, row).facts
    extra = facts.setdefault("extra", {})
    session, title = as_text(_get(one, "sessionId", "session_id")), as_text(_get(one, "traceName", "trace_name"))
    if session is not None:
        facts["session"] = extra["session"] = session
    if title is not None:
        extra.setdefault("name", title)


def _score(one: Mapping[str, Any], trace: str | None, row: Row, gathered: Gathered) -> None:
    name = as_text(_get(one, "traceId", "trace_id")) or trace
    observation = _get(one, "observationId", "observation_id")
    subject = one.get("subject")
    if isinstance(subject, Mapping):
        within = subject.get("kind") == "observation"
        observation = subject.get("id") if within else None
        whole = subject.get("id") if subject.get("kind") == "trace" else None
        name = as_text(_get(subject, "traceId", "trace_id") if within else whole)
    told = as_text(one.get("name"))
    if name is None or told is None:
        gathered.odd["scores without a trace or a name (left out)"] += 1
        return
    value = one.get("value")
    words = _get(one, "stringValue", "string_value") or (value if isinstance(value, str) else None)
    author = as_text(_get(one, "authorUserId", "author_user_id"))
    source = as_text(one.get("source"))
    metadata = decoded(one.get("metadata"))
    ours = (
        {k[11:]: v for k, v in metadata.items() if k.startswith("stepcredit.")} if isinstance(metadata, Mapping) else {}
    )
    kind = as_text(ours.pop("kind", None))
    by = as_text(ours.pop("by", None)) or author or (None if kind else source)
    numeric = str(_get(one, "dataType", "data_type")) != "CATEGORICAL"
    mark = Mark(
        told,
        as_number(value) if numeric and not isinstance(value, str) else None,
        as_text(words) if not (numeric and as_number(words) is not None) else None,
        as_text(one.get("comment")),
        by,
        as_text(observation),
        None,
        kind,
        ours,
    )
    gathered.trace(name, row).marks.append(mark)


def _said(span: Span) -> Said:
    one = span.raw
    usage = decoded(_get(one, "usageDetails", "usage_details", "usage"))
    cost = decoded(_get(one, "costDetails", "cost_details"))
    tokens = usage if isinstance(usage, Mapping) else {}
    whole = as_number(_get(one, "calculatedTotalCost", "total_cost", "totalPrice"))
    return Said(
        given=chat(one.get("input")),
        said=spoken(one.get("output")),
        model=as_text(_get(one, "model", "providedModelName", "provided_model_name")),
        input_tokens=as_count(_get(tokens, "input", "prompt_tokens", "promptTokens", "input_tokens")),
        output_tokens=as_count(_get(tokens, "output", "completion_tokens", "completionTokens", "output_tokens")),
        cost=whole if whole is not None or not isinstance(cost, Mapping) else as_number(cost.get("total")),
    )


def _used(span: Span) -> Used:
    one = span.raw
    given = decoded(one.get("input"))
    metadata = decoded(one.get("metadata"))
    call = metadata.get("tool_call_id") if isinstance(metadata, Mapping) else None
    if isinstance(given, Mapping) and {"name", "args", "id"} <= given.keys():  # a call of LangChain
        call, given = given["id"], given["args"]
    output = decoded(one.get("output"))
    told = output.get("content") if isinstance(output, Mapping) and "tool_call_id" in output else output
    call = call or (output.get("tool_call_id") if isinstance(output, Mapping) else None)
    return Used(span.name or "tool", as_text(call), given, "" if told == "" else as_text(told))


def _get(holder: Mapping[str, Any], *names: str) -> Any:
    return next((holder[n] for n in names if holder.get(n) is not None), None)
