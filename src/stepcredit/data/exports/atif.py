"""Trajectories of ATIF (1.7), the interchange format of Harbor: a line a rollout, a valid trajectory each.

- steps: the context as system and user steps, each step of ours as one of the agent with its tool calls and, as
  `observation`, the replies of tools; other replies as user or system steps after it. metrics: tokens, cost.
- ours: `extra.stepcredit` of a step (credit, evidence, reward, state, blame), and of the trajectory (group, rollout,
  outcome, rewards, blame of no step). `notes`: the blame in words.
- ATIF names one agent a trajectory: another agent's name stands in the step's `extra.agent`. Arguments that are no
  object are put into one, as {"value": ...}. Images are not written; tokens are not.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from stepcredit.data.exports import as_json
from stepcredit.data.records import Blame, Message, Rollout, Step, ToolCall, replies_of
from stepcredit.errors import DataError

SUFFIXES = (".jsonl", ".json")
VERSION = "ATIF-v1.7"


def lines(rollouts: Iterable[Rollout], *, agent: str = "agent", version: str = "unknown") -> Iterator[bytes]:
    """A trajectory a line.

    Args:
        agent: the name of the agent, where no step tells one. version: its version.
    """
    for rollout in rollouts:
        yield as_json(_trajectory(rollout, agent, version))


def _trajectory(rollout: Rollout, agent: str, version: str) -> dict[str, Any]:
    named = next((str(s.agent) for s in rollout.steps if s.agent is not None), agent)
    origins = [s.origin for s in rollout.steps if s.origin is not None]
    model = next((o.model for o in origins if o.model), None)
    trace = next((o.trace for o in origins if o.trace), None)
    by_step: dict[int | None, list[Blame]] = {}
    for blame in rollout.blame:
        by_step.setdefault(blame.step, []).append(blame)
    out: list[dict[str, Any]] = []
    for message in rollout.context:
        out.append(_heard(message, len(out) + 1))
    for place, step in enumerate(rollout.steps):
        out += _steps(step, len(out) + 1, named, by_step.pop(place, []))
    if not out:
        raise DataError(
            "has no steps", rollout=rollout.rollout, expected="at least one: ATIF has no empty trajectories"
        )
    ours = {
        "group": rollout.group,
        "rollout": rollout.rollout,
        "outcome": rollout.outcome,
        "rewards": rollout.rewards or None,
        "blame": [msgspec.to_builtins(b) for told in by_step.values() for b in told] or None,
    }
    return _given(
        schema_version=VERSION,
        session_id=trace or f"{rollout.group}/{rollout.rollout}",
        trajectory_id=f"{rollout.group}/{rollout.rollout}",
        agent=_given(name=named, version=version, model_name=model),
        steps=out,
        notes=_notes(rollout.blame) or None,
        final_metrics=_totals(rollout, len(out)),
        extra={"stepcredit": _given(**ours)},
    )


def _steps(step: Step, number: int, named: str, blamed: list[Blame]) -> list[dict[str, Any]]:
    """A step of ours, and what was said after it."""
    origin = step.origin
    calls = [_call(call, i) for i, call in enumerate(step.tool_calls)]
    ids: set[str] = set()
    for i, one in enumerate(calls):
        if one["tool_call_id"] in ids:
            one["tool_call_id"] += f"#{i}"
        ids.add(one["tool_call_id"])
    tools, others = [], []
    waiting = [c["tool_call_id"] for c in calls]
    for reply in replies_of(step):
        if reply.role in ("tool", "function") or (reply.role not in ("user", "system") and reply.call):
            source = reply.call if reply.call in ids else waiting[0] if len(waiting) == len(ids) == 1 else None
            tools.append(_given(source_call_id=source, content=reply.content or ""))
        else:
            others.append(reply)
    ours = _given(
        credit=step.credit or None,
        evidence=step.evidence or None,
        reward=step.reward,
        state=step.state,
        blame=[msgspec.to_builtins(b) for b in blamed] or None,
    )
    extra = _given(agent=step.agent if str(step.agent) != named else None, stepcredit=ours or None)
    metrics = _given()
    if origin is not None:
        metrics = _given(
            prompt_tokens=origin.input_tokens, completion_tokens=origin.output_tokens, cost_usd=origin.cost
        )
    made = _given(
        step_id=number,
        timestamp=None if origin is None or origin.start is None else _time(origin.start),
        source="agent",
        model_name=None if origin is None else origin.model,
        message=step.text or "",
        reasoning_content=step.reasoning,
        tool_calls=calls or None,
        observation={"results": tools} if tools else None,
        metrics=metrics or None,
        extra=extra or None,
    )
    return [made, *(_heard(m, number + i) for i, m in enumerate(others, 1))]


def _heard(message: Message, number: int) -> dict[str, Any]:
    """A message that the agent was told."""
    source = "system" if message.role in ("system", "developer") else "user"
    extra = {"role": message.role} if message.role not in ("system", "user") else None
    return _given(step_id=number, source=source, message=message.content or "", extra=extra)


def _call(call: ToolCall, place: int) -> dict[str, Any]:
    arguments = call.arguments
    if isinstance(arguments, str):
        try:
            arguments = msgspec.json.decode(arguments)
        except (ValueError, RecursionError):
            arguments = call.arguments
    if not isinstance(arguments, Mapping):
        arguments = {} if arguments is None else {"value": arguments}
    return {"tool_call_id": call.id or f"call_{place}", "function_name": call.name, "arguments": dict(arguments)}


def _notes(blame: list[Blame]) -> str:
    """The blame in words, a line each."""
    out = []
    for one in blame:
        where = "no step" if one.step is None else f"step {one.step}"
        word = "wrong" if one.label is not None and one.label < 0 else "right" if one.label else "neutral"
        said = f"{one.by}: {where} is {word}" if one.step is not None else f"{one.by}: no step is to blame"
        out.append(said + "".join(f" ({x})" for x in (one.error,) if x) + "".join(f": {x}" for x in (one.reason,) if x))
    return "\n".join(out)


def _totals(rollout: Rollout, steps: int) -> dict[str, Any]:
    """Sums over the steps; of a number that a step does not tell there is none."""
    origins = [s.origin for s in rollout.steps]
    out: dict[str, Any] = {"total_steps": steps}
    for name, field in (
        ("total_prompt_tokens", "input_tokens"),
        ("total_completion_tokens", "output_tokens"),
        ("total_cost_usd", "cost"),
    ):
        values = [None if o is None else getattr(o, field) for o in origins]
        if values and None not in values:
            out[name] = sum(values)
    return out


def _time(seconds: float) -> str | None:
    try:
        return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds")
    except (ValueError, OverflowError, OSError):
        return None


def _given(**fields: Any) -> dict[str, Any]:
    """The fields that are not None."""
    return {k: v for k, v in fields.items() if v is not None}
