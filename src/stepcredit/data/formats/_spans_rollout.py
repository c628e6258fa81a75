"""A trace as a rollout: each call of a model is a step; what its tools gave, and what the next call was sent besides,
are its replies."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from stepcredit.data.formats._messages import message_of, opening, turns, words
from stepcredit.data.formats._spans import Above, Dialect, Gathered, Id, Said, Span, Trace, above, as_text, ordered
from stepcredit.data.formats._spans_marks import put
from stepcredit.data.formats._spans_messages import fingerprint
from stepcredit.data.formats._traces import digest
from stepcredit.data.records import Origin, Rollout, Step, replies_of
from stepcredit.data.rows import Rows
from stepcredit.errors import DataError

_LOOKED_AT = 64  # most turns of one text that are asked which of them a call goes on from


@dataclass
class _Turn:
    """A step in the making. thread: the nearest span above that is an agent."""

    span: Span
    made: Said
    thread: Id | None
    agent: str | None
    message: dict[str, Any]
    replies: list[dict[str, Any]] = field(default_factory=list)
    continued: bool = False
    told: dict[str, dict[str, Any]] | None = None  # replies of tools by the ids of their calls; made when asked for
    unnamed: list[dict[str, Any]] = field(default_factory=list)

    def reply(self, call: str | None, *, in_order: bool) -> dict[str, Any] | None:
        """The message that answers a call, where the next call of the model was sent one.

        in_order: where messages have no ids, the next one.
        """
        if self.told is None:
            tools = [m for m in self.replies if m["role"] == "tool"]
            self.told = {m["tool_call_id"]: m for m in reversed(tools) if m.get("tool_call_id")}
            self.unnamed = [m for m in reversed(tools) if not m.get("tool_call_id")]
        if call is not None and call in self.told:
            return self.told[call]
        return self.unnamed.pop() if in_order and self.unnamed else None


_Asked = tuple[_Turn, dict[str, Any]]


def traces(gathered: Gathered, rows: Rows, dialect: Dialect, outcome: str = "", group: str = "") -> Iterator[Rollout]:
    """The rollouts of all traces in which a model was called. A trace that cannot be used is an error of its first row.

    Args:
        outcome: name of the score of a trace that is its outcome; "": `outcome`, `correct` and the like.
        group: the name of the task's field, where one was given.
    """
    for option, name, fact in (("outcome", outcome, "outcome"), ("group", group, "group")):
        told = any(fact in t.facts or any(m.name == name for m in t.marks) for t in gathered.traces.values())
        if name and gathered.traces and not told:
            scores = sorted({m.name for t in gathered.traces.values() for m in t.marks})[:20]
            there = f"; scores there: {', '.join(scores)}" if option == "outcome" and scores else ""
            rows.note(f"{option}={name}: no trace has anything of this name{there}")
    empty = 0
    for name in list(gathered.traces):
        trace = gathered.traces.pop(name)
        rows.at = trace.place
        try:
            rollout = rollout_of(trace, dialect, gathered.odd, outcome)
        except DataError as error:
            rows.bad(_named(error, trace), trace.place)
            continue
        except RecursionError:
            rows.bad(DataError("nested too deeply", rollout=trace.name), trace.place)
            continue
        if rollout is None:
            empty += 1
            continue
        yield rollout
    if empty:
        gathered.odd["traces without a call of a model (left out)"] += empty
    gathered.tell(rows)


def _named(error: DataError, trace: Trace) -> DataError:
    """The error with the name of its trace."""
    return DataError(error.what, rollout=trace.name, got=error.got, expected=error.expected, hint=error.hint)


def rollout_of(trace: Trace, dialect: Dialect, odd: Counter[str], outcome: str = "") -> Rollout | None:
    """The rollout of one trace; None where no model was called in it. odd: counts what is odd."""
    spans = ordered(trace.spans.values(), odd)
    over = above(spans)
    turns_made = _turns(spans, over, dialect, odd)
    if not turns_made:
        return None
    context = _connect(turns_made)
    tools = _Tools(over, turns_made, dialect, odd)
    tools.walk(spans)
    unfinished = sum(s.open for s in spans)
    if unfinished:
        odd["spans without an end (read as far as they go)"] += unfinished
    steps = [_step(turn) for turn in turns_made]
    _hand_over(steps, turns_made, tools.asked, over)
    if not any(turn.made.said for turn in turns_made):
        odd["traces that do not hold what the models wrote, as recording it was off (steps without text)"] += 1
    facts = trace.facts
    named = {"name": spans[0].name} if spans[0].name and spans[0].parent is None else {}
    task = facts.get("task") or opening(context)
    before = [message_of(m) for m in context]
    group = facts.get("group")
    if group is None:
        said = [(m.role, m.content) for m in before if m.content]
        group = digest(repr(said) if said else trace.name)
        what = "of the opening" if said else "of the name, as the opening is not recorded"
        odd[f"rollouts whose task is not named (group: a hash {what})"] += 1
    rollout = Rollout(
        group=group,
        rollout=facts.get("rollout", trace.name),
        outcome=facts.get("outcome"),
        task=task,
        context=before,
        steps=steps,
        extra={**named, **facts.get("extra", {})},
    )
    places = {turn.span.key: i for i, turn in enumerate(turns_made)}
    put(trace, rollout, places, spans, outcome, odd)
    if rollout.outcome is None and not rollout.rewards and spans[0].parent is None and spans[0].error:
        rollout.outcome = 0.0
        odd["rollouts without a score whose root span failed (outcome: 0)"] += 1
    return rollout


def _turns(spans: list[Span], over: Mapping[Id, Above], dialect: Dialect, odd: Counter[str]) -> list[_Turn]:
    """The calls of models, in order. Where two spans, one within the other, tell of one call, the outer one."""
    chosen = [s for s in spans if s.kind == "model"]
    if not chosen:
        outer = {over[s.key].agent for s in spans if s.kind == "agent"}
        chosen = [s for s in spans if s.kind == "agent" and s.key not in outer and dialect.said(s).said]
        if chosen:
            odd["traces that record agents and no calls of models (the answer of an agent is a step)"] += 1
    out: list[_Turn] = []
    marks: dict[Id | None, bytes] = {}
    for span in chosen:
        made = dialect.said(span)
        mark = fingerprint(made.said) if made.said else b""
        up = over[span.key]
        if marks.get(up.model) == mark:
            odd["spans that tell of a call that a span around them tells of too (left out)"] += 1
            continue
        marks[span.key] = mark
        message = dict(made.said or {"role": "assistant", "content": None})
        message.pop("name", None)
        out.append(_Turn(span, made, up.thread, span.agent or up.name, message))
    return out


def _connect(made: list[_Turn]) -> list[dict[str, Any]]:
    """Give each turn the messages that came after it, found in what later calls were sent; returns the context.

    A call continues the latest turn that its last message of the assistant repeats.
    """
    said: dict[bytes, list[_Turn]] = {}  # those that nothing goes on from yet are looked at, from the latest
    begun: set[bytes] = set()
    context: list[dict[str, Any]] = []
    for number, turn in enumerate(made):
        given = turn.made.given
        last = next((i for i in reversed(range(len(given))) if given[i]["role"] == "assistant"), None)
        before = said.get(fingerprint(given[last])) if last is not None else None
        if number == 0:
            context = given
            begun.add(_opening(given))
        elif before is not None:
            while before and before[-1].continued:
                before.pop()
            free = [t for t in before[-_LOOKED_AT:] if not t.continued]
            chosen = next((t for t in reversed(free) if t.thread == turn.thread), free[-1] if free else None)
            if chosen is not None:
                chosen.continued = True
                chosen.replies = [dict(m) for m in given[(last or 0) + 1 :]]
        elif given and _opening(given) not in begun:
            begun.add(_opening(given))
            turn.made.extra["input"] = given
        if turn.made.said:
            said.setdefault(fingerprint(turn.made.said), []).append(turn)
    return context


def _opening(given: list[dict[str, Any]]) -> bytes:
    return sha256((as_text(given) or "").encode(errors="replace")).digest()


class _Tools:
    """Puts what tools gave beside the calls that asked for it: by the id of the call, else by name and order."""

    def __init__(self, over: Mapping[Id, Above], made: list[_Turn], dialect: Dialect, odd: Counter[str]) -> None:
        self._over, self._dialect, self._odd = over, dialect, odd
        self._turns = {turn.span.key: turn for turn in made}
        self._by_id: dict[str, list[_Asked]] = {}
        self._by_name: dict[str, list[_Asked]] = {}
        self._answered: set[int] = set()
        self.asked: dict[Id, _Turn] = {}
        """Which turn asked for the tool of a span."""
        self._latest: dict[Id | None, _Turn] = {}
        self._last: _Turn | None = None

    def walk(self, spans: list[Span]) -> None:
        for span in spans:
            if span.key in self._turns:
                self._turn(self._turns[span.key])
            elif span.kind == "tool" and not self._over[span.key].tool:  # a tool within a tool answers no model
                self._tool(span)

    def _turn(self, turn: _Turn) -> None:
        self._last = self._latest[turn.thread] = turn
        for call in reversed(turn.message.get("tool_calls") or ()):
            self._by_name.setdefault(call["function"]["name"], []).append((turn, call))
            if call.get("id"):
                self._by_id.setdefault(call["id"], []).append((turn, call))

    def _tool(self, span: Span) -> None:
        used = self._dialect.used(span)
        asked = self._waiting(self._by_id, used.call) if used.call else self._waiting(self._by_name, used.name)
        turn, call = asked or (self._latest.get(self._over[span.key].thread) or self._last, None)
        if turn is None:
            self._odd["spans of tools that no call of a model stands before (left out)"] += 1
            return
        self.asked[span.key] = turn
        if call is not None:
            used.call = used.call or call.get("id")
        elif not turn.made.said:
            function = {"name": used.name, "arguments": used.arguments}
            turn.message.setdefault("tool_calls", []).append({"id": used.call, "function": function})
        reply = turn.reply(used.call, in_order=call is not None)
        if reply is None:
            result = used.result if used.result is not None else span.error
            reply = {"role": "tool", "content": result, "tool_call_id": used.call}
            turn.replies.append(reply)
        failed = True if span.error else None
        reply |= {k: v for k, v in (("name", used.name), ("error", failed)) if v and not reply.get(k)}

    def _waiting(self, among: dict[str, list[_Asked]], name: str) -> _Asked | None:
        """The latest turn's first call of this name (or id) that is not answered yet."""
        listed = among.get(name, [])
        while listed:
            turn, call = listed.pop()
            if id(call) not in self._answered:
                self._answered.add(id(call))
                return turn, call
        return None


def _hand_over(steps: list[Step], made: list[_Turn], asked: Mapping[Id, _Turn], over: Mapping[Id, Above]) -> None:
    """Steps within a call of a tool (another agent was asked) come before its result: the step that asked for it is
    followed by what that agent was sent, and the last step within by the result."""
    place = {turn.span.key: i for i, turn in enumerate(made)}
    within: dict[int, list[int]] = {}  # of all the tools that a step asked for
    for i, turn in enumerate(made):
        tool = over[turn.span.key].tool
        if tool is not None and tool in asked:
            within.setdefault(place[asked[tool].span.key], []).append(i)
    for at, inner in within.items():
        step, last = steps[at], steps[inner[-1]]
        if step.observation is None:
            continue
        step.replies = replies_of(step)
        if last.observation is None:
            last.observation = step.observation
        sent = [m.get("content") for m in made[inner[0]].made.given if m["role"] != "system"]
        step.observation = words(sent[-1]) if sent else None


def _step(turn: _Turn) -> Step:
    span, made = turn.span, turn.made
    step = turns([turn.message, *turn.replies])[0].step
    if (
        step.replies
        and all(r.content is None for r in step.replies)
        and not any(m.get("content") for m in turn.replies)
    ):
        step.observation = None
    if made.said is None:
        step.text = None
    step.agent = turn.agent
    step.origin = Origin(
        id=span.id or None,
        trace=span.trace,
        response=made.response,
        model=made.model,
        start=span.start,
        seconds=_seconds(span),
        input_tokens=made.input_tokens,
        output_tokens=made.output_tokens,
        cost=made.cost,
        error=span.error,
    )
    step.extra = {**step.extra, **made.extra}
    return step


def _seconds(span: Span) -> float | None:
    """How long it took; None where a clock says that it ended before it began."""
    if span.start is None or span.end is None or span.end < span.start:
        return None
    return round(span.end - span.start, 6)
