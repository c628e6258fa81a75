"""Rows of OpenTelemetry to traces."""

from collections.abc import Iterator, Mapping
from typing import Any

from stepcredit.data.formats import _otlp_chat
from stepcredit.data.formats._otlp import Event, Told, spans
from stepcredit.data.formats._spans import Dialect, Gathered, Span, Trace, as_key, as_text
from stepcredit.data.formats._spans_marks import told_outcome
from stepcredit.data.formats._spans_rollout import traces
from stepcredit.data.records import Rollout
from stepcredit.data.rows import Rows
from stepcredit.data.storage import Row
from stepcredit.errors import DataError

DIALECT = Dialect(_otlp_chat.said, _otlp_chat.used)
GROUP = (
    "stepcredit.group",
    "task.id",
    "task_id",
    "gen_ai.task.id",
    "metadata.task_id",
    "langfuse.trace.metadata.task_id",
)
SESSION = ("gen_ai.conversation.id", "session.id", "langfuse.session.id", "traceloop.association.properties.session_id")


def read(rows: Rows, *, by: str, group: str, outcome: str) -> Iterator[Rollout]:
    """All rows, then the rollouts in them."""
    if by not in ("trace", "session"):
        raise DataError("option by", got=by, expected="trace or session")
    gathered = Gathered()
    loose: dict[tuple[str, str], list[Event]] = {}
    for row in rows:
        with rows.guard(row):
            take(row, gathered, loose, (group,) if group else GROUP, outcome)
    settle(gathered, loose)
    shared = sum(1 for t in gathered.traces.values() if t.facts.get("session") is not None)
    sessions = {t.facts["session"] for t in gathered.traces.values() if t.facts.get("session") is not None}
    if by == "session":
        gathered.by("session")
    elif len(sessions) < shared:
        rows.note(
            f"{shared:,} traces belong to {len(sessions):,} sessions: --format ...:by=session makes one rollout of each"
        )
    yield from traces(gathered, rows, DIALECT, outcome, group)


def take(
    row: Row,
    gathered: Gathered,
    loose: dict[tuple[str, str], list[Event]],
    group: tuple[str, ...] = GROUP,
    outcome: str = "",
) -> None:
    """Add the spans and log records of a row."""
    some = False
    for told, event, place in spans(row.value):
        some = True
        if told is None:
            if event is not None:
                loose.setdefault(place, []).append(event)
            continue
        if not told.trace or not told.id:
            gathered.odd["spans without an id (left out)"] += 1
            continue
        add(told, gathered, row, group, outcome)
    if not some:
        raise DataError(
            "no spans in it", got=f"fields {', '.join(map(str, row.value)) or 'none'}", expected="resourceSpans"
        )


def add(told: Told, gathered: Gathered, row: Row, group: tuple[str, ...] = GROUP, outcome: str = "") -> None:
    """Add one span."""
    at = told.attributes
    kind = _otlp_chat.kind_of(at, told.name)
    span = Span(
        trace=told.trace,
        id=told.id,
        parent=told.parent,
        name=told.name,
        kind=kind,
        start=told.start,
        end=told.end,
        agent=_otlp_chat.agent_of(at, told.name, kind),
        error=told.error,
        open=told.end is None,
        raw=told if kind != "other" else None,
    )
    trace = gathered.add(span, row)
    facts = trace.facts
    for source in (at, told.resource):
        for name in group:
            if "group" not in facts and (told_group := as_key(source.get(name))) is not None:
                facts["group"] = told_group
        for name in SESSION:
            if "session" not in facts and source.get(name):
                facts["session"] = as_text(source[name])
                facts.setdefault("extra", {})["session"] = facts["session"]
    told_outcome(facts, outcome, at, top=told.parent is None)
    for event in told.events:
        mark = _otlp_chat.mark_of(event, at, told.id)
        if mark is not None:
            trace.marks.append(mark)
    trace.marks += _otlp_chat.annotations(at, told.id)


def settle(gathered: Gathered, loose: Mapping[tuple[str, str], list[Event]]) -> None:
    """Give log records to their spans, and evaluations among them to their traces."""
    for (name, span), events in loose.items():
        trace: Trace | None = gathered.traces.get(name)
        if trace is None:
            trace = next((t for t in gathered.traces.values() if (t.name, span) in t.spans), None) if not name else None
        if trace is None:
            trace = _by_response(gathered, events)
        if trace is None:
            gathered.odd["log records whose trace is not there (left out)"] += len(events)
            continue
        held: Any = trace.spans.get((name, span))
        for event in events:
            mark = _otlp_chat.mark_of(event, event.attributes, span)
            if mark is not None:
                trace.marks.append(mark)
            elif held is not None and held.raw is not None:
                held.raw.events.append(event)


def _by_response(gathered: Gathered, events: list[Event]) -> Trace | None:
    """The trace of an evaluation that names a response of the model only."""
    wanted = {e.attributes.get("gen_ai.response.id") for e in events} - {None}
    for trace in gathered.traces.values() if wanted else ():
        for span in trace.spans.values():
            if span.raw is not None and span.raw.attributes.get("gen_ai.response.id") in wanted:
                return trace
    return None
