"""Scores that were given to spans and traces, as evidence, blame, rewards and the outcome."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from stepcredit.data.formats._fields import add_score
from stepcredit.data.formats._spans import Id, Mark, Span, Trace, as_number, as_text
from stepcredit.data.records import Blame, Rollout

OUTCOMES = ("outcome", "reward", "success", "correct", "resolved", "passed")
_WRONG = frozenset(("wrong", "incorrect", "fail", "failed", "failure", "bad", "false", "no", "error", "negative"))
_RIGHT = frozenset(("right", "correct", "pass", "passed", "success", "good", "true", "yes", "positive"))
_PLACES = ("group", "rollout", "step", "trace", "span")
_NEUTRAL = frozenset(("neutral",))


def put(
    trace: Trace, rollout: Rollout, places: Mapping[Id, int], spans: list[Span], outcome: str, odd: Counter[str]
) -> None:
    """Put the marks of a trace where they belong.

    places: of the steps, by their spans.
    """
    if not trace.marks:
        return
    by_id = {span.id: span.key for span in spans}
    by_response = {s.origin.response: i for i, s in enumerate(rollout.steps) if s.origin and s.origin.response}
    within = _within(spans, places)
    roots = {s.key for s in spans if s.parent is None or (s.trace, s.parent) not in trace.spans}
    for mark in trace.marks:
        key = by_id.get(mark.span) if mark.span else None
        step = places.get(key) if key is not None else by_response.get(mark.response) if mark.response else None
        if step is None and key is not None and key not in roots:
            step = within.get(key)
            step = _asked(key, rollout, trace) if step is None else step
            if step is None:
                odd["scores of spans that are no steps (kept under `scores`)"] += 1
                rollout.extra.setdefault("scores", []).append(plain(mark))
                continue
        if step is not None:
            _on_step(mark, step, rollout)
        elif mark.kind == "blame" or mark.value is None:
            if not _blame(mark, None, rollout):
                rollout.extra.setdefault("scores", []).append(plain(mark))
        else:
            rollout.rewards[mark.name] = mark.value
            if mark.comment:
                rollout.extra.setdefault("scores", []).append(plain(mark))
    _outcome(rollout, outcome, odd)


def _within(spans: list[Span], places: Mapping[Id, int]) -> dict[Id, int | None]:
    """The sole step within each span; None: there are several. spans: in their order."""
    out: dict[Id, int | None] = {}
    for span in reversed(spans):
        inner = places.get(span.key, out.get(span.key, -1))
        if inner != -1 and span.parent is not None:
            over = (span.trace, span.parent)
            out[over] = inner if over not in out else None
    return out


def _asked(key: Id, rollout: Rollout, trace: Trace) -> int | None:
    """The step that asked for the tool of a span, where its call has an id of its own."""
    span = trace.spans[key]
    call = getattr(span.raw, "call", None) if span.kind == "tool" else None
    found = [i for i, s in enumerate(rollout.steps) for c in s.tool_calls if call is not None and c.id == call]
    return found[0] if len(found) == 1 else None


def _on_step(mark: Mark, place: int, rollout: Rollout) -> None:
    step = rollout.steps[place]
    if mark.kind == "credit":
        step.credit[mark.name] = mark.value
    elif mark.kind == "reward":
        step.reward = mark.value
    elif mark.kind == "blame":
        _blame(mark, place, rollout)
    else:
        blamed = _blame(mark, place, rollout)
        if mark.value is not None:
            if mark.kind == "evidence":
                step.evidence[mark.name] = mark.value
            else:
                add_score(step, mark.name, mark.value)
        if not blamed and (mark.label or mark.comment):
            step.extra.setdefault("scores", []).append(plain(mark))


def _blame(mark: Mark, place: int | None, rollout: Rollout) -> bool:
    """A verdict in words as blame; False where the words are none."""
    said = (mark.label or "").strip().casefold()
    label = -1.0 if said in _WRONG else 1.0 if said in _RIGHT else 0.0 if said in _NEUTRAL else None
    if label is None and mark.kind != "blame":
        return False
    if label is None:
        label = mark.value
    more = {k: v for k, v in mark.more.items() if k not in _PLACES}
    confidence = more.pop("confidence", None)
    rollout.blame.append(
        Blame(
            by=mark.by or mark.name,
            step=place,
            agent=None if place is None else rollout.steps[place].agent,
            label=label,
            error=as_text(more.pop("error", None)),
            reason=mark.comment,
            confidence=confidence if isinstance(confidence, int | float) else None,
            evidence={**({} if mark.kind == "blame" or mark.value is None else {mark.name: mark.value}), **more},
        )
    )
    return True


def _outcome(rollout: Rollout, name: str, odd: Counter[str]) -> None:
    """The outcome from the rewards: the one that was named, else the sole one whose name says that it is one."""
    if rollout.outcome is not None:
        return
    found = [name] if name else [n for n in rollout.rewards if n.casefold() in OUTCOMES]
    values = {rollout.rewards[n] for n in found if n in rollout.rewards}
    if len(values) == 1:
        rollout.outcome = values.pop()
    elif len(values) > 1:
        odd[f"rollouts with several scores that may be the outcome, {', '.join(sorted(found))} (it is unknown)"] += 1
    elif rollout.rewards:
        called = name or "outcome (the format's option outcome=NAME makes one it)"
        odd[f"rollouts none of whose scores is called {called}"] += 1


def told_outcome(facts: dict[str, Any], name: str, given: Mapping[str, Any], *, top: bool) -> None:
    """Keep what a field of this name says as the outcome of a trace: a number, or a word that means right or wrong.

    top: of the trace itself or its topmost span, whose word counts.
    """
    if not name or given.get(name) is None or ("outcome" in facts and not top):
        return
    said = str(given[name]).strip().casefold()
    value = 1.0 if said in _RIGHT else 0.0 if said in _WRONG else as_number(given[name])
    if value is not None:
        facts["outcome"] = value


def plain(mark: Mark) -> dict[str, Any]:
    """A mark as JSON."""
    shown = {"name": mark.name, "value": mark.value, "label": mark.label, "comment": mark.comment, "by": mark.by}
    return {k: v for k, v in {**shown, **dict(mark.more)}.items() if v is not None}
