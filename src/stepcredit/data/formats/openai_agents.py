"""Traces of the OpenAI Agents SDK, as its tracing processors get them: what `export()` of its spans and traces gives, a
row each, or the requests of its own exporter (`{"data": [...]}`).

- rollout: a trace, by its id; with by=session all traces of a `group_id`. Memory holds all the spans of the files.
- step: a span of type generation (or response, of which the SDK exports the id and the tokens alone: such steps have no
  text, and a note says so), parents before their children, then by start. tools: spans of type function. agent: the
  nearest span of type agent. origin: span, trace, response, model, time, tokens.
- group: `task_id` or `group` in the metadata of the trace (or the field there that group= names), else a hash of the
  opening. `group_id` is a conversation, no task: it is kept among the other fields as `session`.
- not known: the outcome, states, rewards of steps, scores.
Written against openai-agents 0.24.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from stepcredit.data.formats._spans import (
    Dialect,
    Gathered,
    Kind,
    Said,
    Span,
    Used,
    as_count,
    as_key,
    as_text,
    as_time,
    decoded,
)
from stepcredit.data.formats._spans_messages import chat, spoken
from stepcredit.data.formats._spans_rollout import traces
from stepcredit.data.formats._traces import a_map
from stepcredit.data.records import Rollout
from stepcredit.data.rows import Rows
from stepcredit.data.storage import Row
from stepcredit.errors import DataError

FIELDS = ("object", "id", "trace_id", "parent_id", "span_data", "workflow_name", "group_id", "metadata")
_KINDS: dict[str, Kind] = {"generation": "model", "response": "model", "function": "tool", "agent": "agent"}
_GROUP = ("task_id", "group")


def fits(first: Mapping[str, Any], path: str) -> bool:
    """A span or a trace of the SDK, or a request that holds them."""
    page = first.get("data")
    if isinstance(page, list) and page and isinstance(page[0], Mapping):
        first = page[0]
    return (first.get("object") == "trace.span" and "span_data" in first) or _is_trace(first)


def _is_trace(row: Mapping[str, Any]) -> bool:
    return row.get("object") == "trace" and "workflow_name" in row


def rollouts(rows: Rows, *, by: str = "trace", group: str = "") -> Iterator[Rollout]:
    """One rollout a trace.

    Args:
        by: "trace", or "session": all traces of a `group_id` are one rollout.
        group: the field of a trace's metadata that names the task.
    """
    if by not in ("trace", "session"):
        raise DataError("option by", got=by, expected="trace or session")
    gathered = Gathered()
    for row in rows:
        with rows.guard(row):
            page = row.value.get("data")
            for one in page if isinstance(page, list) else [row.value]:
                _take(one, row, gathered, (group,) if group else _GROUP)
    for name in [n for n, t in gathered.traces.items() if not t.spans]:
        gathered.odd["traces without spans (left out)"] += 1
        del gathered.traces[name]
    if by == "session":
        gathered.by("session")
    yield from traces(gathered, rows, Dialect(_said, _used), "")


def _take(one: Any, row: Row, gathered: Gathered, group: tuple[str, ...]) -> None:
    name = as_text(one.get("id")) if isinstance(one, Mapping) else None
    if name is None:
        raise DataError("neither a span nor a trace with an id", got=one, expected="fields object, id, ...")
    if _is_trace(one):
        facts = gathered.trace(name, row).facts
        metadata, session = a_map(one.get("metadata")), as_text(one.get("group_id"))
        told = next((k for n in group if (k := as_key(metadata.get(n))) is not None), None)
        facts |= {k: v for k, v in (("group", told), ("session", session)) if v is not None}
        extra = {"name": one.get("workflow_name"), "session": session, "metadata": dict(metadata)}
        facts.setdefault("extra", {}).update({k: v for k, v in extra.items() if v})
        return
    data, trace = a_map(one.get("span_data")), as_text(one.get("trace_id"))
    if trace is None:
        raise DataError("a span without the id of its trace", got=one, expected="fields id, trace_id, span_data")
    kind = _KINDS.get(str(data.get("type")), "other")
    end, wrong = as_time(one.get("ended_at")), one.get("error")
    span = Span(
        trace=trace,
        id=name,
        parent=as_text(one.get("parent_id")),
        name=as_text(data.get("name")) or "",
        kind=kind,
        start=as_time(one.get("started_at")),
        end=end,
        agent=as_text(data.get("name")) if kind == "agent" else None,
        error=_error(wrong),
        open=end is None,
        raw=data if kind != "other" else None,
    )
    gathered.add(span, row)


def _error(wrong: Any) -> str | None:
    inner = a_map(wrong)
    told = a_map(inner.get("data")).get("error")
    return ": ".join(t for t in (as_text(inner.get("message")), as_text(told)) if t) or as_text(wrong)


def _said(span: Span) -> Said:
    data = span.raw
    usage = a_map(data.get("usage"))
    output = decoded(data.get("output"))
    return Said(
        given=chat(data.get("input")),
        said=spoken(output) if output else None,
        model=as_text(data.get("model")),
        response=as_text(data.get("response_id")),
        input_tokens=as_count(usage.get("input_tokens", usage.get("prompt_tokens"))),
        output_tokens=as_count(usage.get("output_tokens", usage.get("completion_tokens"))),
    )


def _used(span: Span) -> Used:
    data = span.raw
    output = data.get("output")
    return Used(span.name or "tool", None, decoded(data.get("input")), "" if output == "" else as_text(output))
