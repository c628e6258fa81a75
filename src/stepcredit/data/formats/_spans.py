"""Spans of a tracer, gathered by trace and put in order: parents before their children, then by start, then as in the
file.

A trace is one rollout. Its spans may come in any order, from several rows and files; they are held in memory until all
rows were read. What is odd about them (a parent that is not there, parents in a circle, an id twice, a span without an
end) is counted, and told in the notes.
"""

import heapq
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import isfinite
from typing import Any, Literal, NamedTuple

import msgspec

from stepcredit.data.rows import Rows
from stepcredit.data.storage import Row

Kind = Literal["model", "tool", "agent", "other"]
Id = tuple[str, str]  # of the trace, of the span


class Mark(NamedTuple):
    """A score that somebody gave: of a span, of a response of the model, or of the whole trace.

    kind: what of ours it was exported from ("credit", "evidence", "blame", "reward"); None: another's score.
    """

    name: str
    value: float | None = None
    label: str | None = None
    comment: str | None = None
    by: str | None = None
    span: str | None = None
    response: str | None = None
    kind: str | None = None
    more: Mapping[str, Any] = {}


class Span(msgspec.Struct, kw_only=True):
    """One span. raw: what its format reads further; agent: the name that it tells itself; error: why it failed."""

    trace: str
    id: str
    parent: str | None = None
    name: str = ""
    kind: Kind = "other"
    start: float | None = None
    end: float | None = None
    agent: str | None = None
    error: str | None = None
    open: bool = False
    raw: Any = None

    @property
    def key(self) -> Id:
        return self.trace, self.id


@dataclass
class Said:
    """What went into a model and came out of it, as messages of a chat. said: None, where it was not recorded."""

    given: list[dict[str, Any]] = field(default_factory=list)
    said: dict[str, Any] | None = None
    model: str | None = None
    response: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost: float | None = None
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass
class Used:
    """A call of a tool, and its result as text; None: not recorded."""

    name: str
    call: str | None = None
    arguments: Any = None
    result: str | None = None


class Dialect(NamedTuple):
    """How a format's spans are read further. in_words: what it calls a trace, for notes."""

    said: Callable[[Span], Said]
    used: Callable[[Span], Used]


@dataclass
class Trace:
    """The spans of a trace. facts: group, session, outcome, task, extra: what is known of all of it."""

    name: str
    place: Row
    spans: dict[Id, Span] = field(default_factory=dict)
    marks: list[Mark] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass
class Gathered:
    """Traces by name, in the order in which they were met, and what is odd about them."""

    traces: dict[str, Trace] = field(default_factory=dict)
    odd: Counter[str] = field(default_factory=Counter)

    def trace(self, name: str, row: Row) -> Trace:
        """The trace of this name; made where there is none."""
        found = self.traces.get(name)
        if found is None:
            found = self.traces[name] = Trace(name, Row(row.file, row.number, {}, 0))
        return found

    def add(self, span: Span, row: Row) -> Trace:
        """Put a span into its trace. Of two with one id the first is kept, but one that ended wins."""
        trace = self.trace(span.trace, row)
        before = trace.spans.get(span.key)
        if before is not None:
            self.odd["spans whose id came before (one of them is read)"] += 1
        if before is None or (before.open and not span.open):
            trace.spans[span.key] = span
        return trace

    def by(self, fact: str) -> None:
        """Join the traces that share a fact (a session)."""
        joined: dict[str, Trace] = {}
        for trace in self.traces.values():
            shared = trace.facts.get(fact)
            name = trace.name if shared is None else str(shared)
            into = joined.setdefault(name, Trace(name, trace.place))
            into.spans |= trace.spans
            into.marks += trace.marks
            into.facts = {**trace.facts, **into.facts}
        self.traces = joined

    def tell(self, rows: Rows) -> None:
        """The odd things as notes."""
        for what, count in self.odd.items():
            rows.note(f"{what}: {count:,}")


def ordered(spans: Iterable[Span], odd: Counter[str]) -> list[Span]:
    """Parents before their children, then by start, then in the order given; spans in a circle as if the first of them
    had no parent."""
    given = list(spans)
    place = {span.key: i for i, span in enumerate(given)}
    children: dict[Id, list[Span]] = {}
    roots: list[Span] = []
    for span in given:
        parent = None if span.parent is None else (span.trace, span.parent)
        if parent is not None and parent in place and parent != span.key:
            children.setdefault(parent, []).append(span)
        else:
            roots.append(span)
            if parent is not None:
                what = "whose parent is not there" if parent != span.key else "that are their own parents"
                odd[f"spans {what} (read as if they had none)"] += 1
    out: list[Span] = []
    seen: set[Id] = set()
    heap: list[tuple[float, int]] = []

    def push(span: Span, floor: float) -> None:
        heapq.heappush(heap, (floor if span.start is None else span.start, place[span.key]))

    def drain() -> None:
        while heap:
            at, index = heapq.heappop(heap)
            span = given[index]
            if span.key in seen:
                continue
            seen.add(span.key)
            out.append(span)
            for child in children.get(span.key, ()):
                push(child, at)

    for root in roots:
        push(root, 0.0)
    drain()
    left = sorted((s for s in given if s.key not in seen), key=lambda s: (s.start or 0.0, place[s.key]))
    for span in left:
        if span.key not in seen:
            odd["circles of parents (cut at their earliest span)"] += 1
            push(span, 0.0)
            drain()
    return out


class Above(NamedTuple):
    """What stands above a span. agent: the nearest span of an agent; name: what the nearest that names one calls it;
    top: the topmost span; model: the nearest call of a model; tool: the topmost call of a tool."""

    agent: Id | None = None
    name: str | None = None
    top: Id | None = None
    model: Id | None = None
    tool: Id | None = None

    @property
    def thread(self) -> Id | None:
        """Calls of models of one thread are one conversation, as a rule."""
        return self.agent or self.top


def above(spans: Iterable[Span]) -> dict[Id, Above]:
    """What stands above each span, of spans in their order."""
    out: dict[Id, Above] = {}
    by_key: dict[Id, Span] = {}
    for span in spans:
        parent = None if span.parent is None else by_key.get((span.trace, span.parent))
        if parent is None:
            out[span.key] = Above()
        else:
            over = out[parent.key]
            out[span.key] = Above(
                parent.key if parent.kind == "agent" else over.agent,
                parent.agent or over.name,
                over.top or parent.key,
                parent.key if parent.kind == "model" else over.model,
                over.tool or (parent.key if parent.kind == "tool" else None),
            )
        by_key[span.key] = span
    return out


def as_text(value: object) -> str | None:
    """Text as it is; what is no text as JSON; None and the empty text are None."""
    if value is None or value == "":
        return None
    if isinstance(value, str):
        return value
    return msgspec.json.encode(value, enc_hook=str, order="deterministic").decode()


def as_number(value: object) -> float | None:
    """A finite number, also from text; else None."""
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    if isinstance(value, int | float):
        try:
            return float(value) if isfinite(value) else None
        except OverflowError:
            pass
    return None


def as_count(value: object) -> int | None:
    """A number of tokens."""
    number = as_number(value)
    return int(number) if number is not None and 0 <= number < 2**53 else None


def as_key(value: object) -> str | int | None:
    """A name: text or a whole number; None: neither."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, str | int) and not isinstance(value, bool) and value != "" else None


def as_time(value: object) -> float | None:
    """Seconds since 1970: of an ISO time, or of a number of seconds, milliseconds, microseconds or nanoseconds."""
    if isinstance(value, str) and not value.isdecimal():
        try:
            told = datetime.fromisoformat(value)
            return (told if told.tzinfo else told.replace(tzinfo=UTC)).timestamp()
        except (ValueError, OverflowError):
            value = as_number(value)
    number = as_number(value)
    if number is None or number <= 0:
        return None
    for unit in (1e9, 1e6, 1e3):  # 1e11 seconds is the year 5138
        if number >= 1e11 * unit / 1e3:
            return number / unit
    return number


def decoded(value: object) -> Any:
    """What a text holds as JSON, where it looks like an object or a list; else the value itself."""
    if isinstance(value, str) and value.startswith(("[", "{")) and value.rstrip().endswith(("]", "}")):
        try:
            return msgspec.json.decode(value)
        except (ValueError, RecursionError):
            return value
    return value
