"""ATIF, the Agent Trajectory Interchange Format of Harbor: one trajectory a row (usually one a file).

- group: ATIF names no task, so a short hash of the messages before the first step, and a note; a field `group` or
  `task_id` of the row wins. rollout: `trajectory_id`, else `session_id`, if no other of the group has it; else the name
  of the file. task: the first message of a user. outcome: ATIF has none (Harbor writes the reward into a file of its
  own): field `outcome` or `reward`, or --map outcome=extra.reward.
- step: one step of source "agent". text: `message`; reasoning: `reasoning_content`; agent: `agent.name`. The results in
  `observation` are replies by tools; steps of sources "user" and "system" that follow are replies too. Before the first
  step they are context, and so are agent steps with `is_copied_context`, which another trajectory holds.
- subagents: the steps of an embedded trajectory (v1.7) follow the step whose result refers to it, with the name of
  their agent; each is read once. One that nothing refers to, or that is in a file of its own, is not read: references
  stay with the step, as its field `subagents`.
- origin: `step_id`, the trajectory, `timestamp`, model, and of `metrics` the tokens sent and put out and the cost;
  `extra.invocation` gives the time it took (NeMo Agent Toolkit). tokens: `completion_token_ids` as `id`, `logprobs` as
  `old_logp`, if both are as many.
- not known: states, rewards of steps, whether a tool failed.
Other fields are kept. Written against v1.0 to v1.7 as in nvidia-nat-atif 1.9; a note says if a file is newer.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from msgspec.structs import replace

from stepcredit.data.formats._fields import key, need, rest, text
from stepcredit.data.formats._messages import as_text, observe, plain_call, words
from stepcredit.data.formats._traces import (
    UNNAMED,
    Made,
    a_list,
    a_map,
    a_str,
    by_opening,
    named,
    need_map,
    origin,
    outcome_of,
    real,
    seconds,
    whole,
)
from stepcredit.data.records import Message, Rollout, Step, Tokens, ToolCall
from stepcredit.data.rows import Rows
from stepcredit.errors import DataError

FIELDS = ("schema_version", "session_id", "trajectory_id", "agent", "steps", "task_id", "reward")
_VERSION = "ATIF-v1."
_NEWEST = 7
_USED = ("steps", "agent", "session_id", "trajectory_id", "schema_version", "task_id", "group", "rollout", "task")
_STEP_USED = (
    *("step_id", "timestamp", "source", "model_name", "message", "reasoning_content", "tool_calls", "observation"),
    *("metrics", "is_copied_context"),
)


def fits(first: Mapping[str, Any], path: str) -> bool:
    """A row whose `schema_version` is that of ATIF v1."""
    version = first.get("schema_version")
    return isinstance(version, str) and version.startswith(_VERSION)


def rollouts(rows: Rows) -> Iterator[Rollout]:
    """One rollout a row."""
    return named(rows, _made(rows))


def _made(rows: Rows) -> Iterator[Made]:
    for row in rows:
        with rows.guard(row):
            value = row.value
            yield Made(row, _rollout(value, rows), a_str(value.get("trajectory_id")) or a_str(value.get("session_id")))


def _rollout(row: dict[str, Any], rows: Rows) -> Rollout:
    version = need(row, "schema_version", str)
    minor = version.removeprefix(_VERSION)
    if not version.startswith(_VERSION) or not (minor.isascii() and minor.isdigit()):
        raise DataError("not a version of ATIF that can be read", got=version, expected="ATIF-v1.0 to ATIF-v1.7")
    if int(minor[:9]) > _NEWEST:
        rows.note(f"{version} is newer than ATIF-v1.{_NEWEST}: what is new in it is not read")
    walk = _Walk(row)
    walk.trajectory(row)
    for step in walk.steps:
        if step.replies:
            observe(step)
    group = row.get("group", row.get("task_id"))
    outcome_field, outcome = outcome_of(row, ("outcome", "reward"))
    return Rollout(
        group=by_opening(walk.context, rows) if group is None else key(group, "group"),
        rollout=key(row["rollout"], "rollout") if "rollout" in row else UNNAMED,
        outcome=outcome,
        task=text(row.get("task"), "task") or next((m.content for m in walk.context if m.role == "user"), None),
        context=walk.context,
        steps=walk.steps,
        extra=walk.kept(row, outcome_field),
    )


class _Walk:
    """Goes through a trajectory and those within it, in the order of what happened."""

    def __init__(self, root: Mapping[str, Any]) -> None:
        self.context: list[Message] = []
        self.steps: list[Step] = []
        self._inside: dict[str, Mapping[str, Any]] = {}
        self._seen: set[str] = set()
        self._find(root)

    def _find(self, trajectory: Mapping[str, Any]) -> None:
        for inner in a_list(trajectory.get("subagent_trajectories"), "subagent_trajectories"):
            one = need_map(inner, "a subagent trajectory")
            self._inside.setdefault(need(one, "trajectory_id", str), one)
            self._find(one)

    def kept(self, row: Mapping[str, Any], outcome: str | None) -> dict[str, Any]:
        """Fields that are not read: of the embedded trajectories those that nothing referred to."""
        extra = rest(row, (*_USED, outcome, "subagent_trajectories"), Rollout.__struct_fields__)
        left = [t for name, t in self._inside.items() if name not in self._seen]
        agent = {k: v for k, v in a_map(row.get("agent")).items() if v is not None}
        return {**extra, **({"agent": agent} if agent else {}), **({"subagent_trajectories": left} if left else {})}

    def trajectory(self, given: Mapping[str, Any], by: str | None = None) -> None:
        """The steps of a trajectory. by: who set a subagent to work: what it is told bears this name."""
        agent = a_map(given.get("agent"))
        trace = a_str(given.get("trajectory_id")) or a_str(given.get("session_id"))
        mine: Step | None = None
        for i, value in enumerate(need(given, "steps", list)):
            step = need_map(value, f"step {i}")
            source = step.get("source")
            if source == "agent" and step.get("is_copied_context") is not True:
                mine = self._step(step, agent, trace)
                self.steps.append(mine)
                self._delegated(step, mine)
            elif source in ("agent", "user", "system"):
                role = "assistant" if source == "agent" else source
                heard = [_message(role, step.get("message")), *_results(step, {})]
                self._hear([replace(m, name=by) for m in heard] if by is not None else heard, mine)
            else:
                raise DataError(f"step {i} has no known source", got=repr(source), expected="system, user or agent")

    def _hear(self, messages: list[Message], mine: Step | None) -> None:
        said = [m for m in messages if m.content or m.images or m.role == "user"]
        after = mine or (self.steps[-1] if self.steps else None)
        if after is None:
            self.context.extend(said)
        elif said:
            after.replies.extend(said)

    def _step(self, given: Mapping[str, Any], agent: Mapping[str, Any], trace: str | None) -> Step:
        calls = [_call(c) for c in a_list(given.get("tool_calls"), "tool_calls")]
        metrics = a_map(given.get("metrics"))
        timing = a_map(a_map(given.get("extra")).get("invocation"))
        begun, ended = seconds(timing.get("start_timestamp")), seconds(timing.get("end_timestamp"))
        message = _message("assistant", given.get("message"))
        number = given.get("step_id")
        return Step(
            agent=a_str(agent.get("name")),
            text=message.content,
            reasoning=text(given.get("reasoning_content"), "reasoning_content"),
            images=message.images,
            action=as_text([plain_call(c) for c in calls]) if calls else None,
            tool_calls=calls,
            replies=_results(given, {c.id: c.name for c in calls}),
            tokens=_tokens(metrics),
            origin=origin(
                id=str(number) if isinstance(number, int | str) else None,
                trace=trace,
                model=a_str(given.get("model_name")) or a_str(agent.get("model_name")),
                start=begun if begun is not None else seconds(given.get("timestamp")),
                seconds=ended - begun if begun is not None and ended is not None and ended >= begun else None,
                input_tokens=whole(metrics.get("prompt_tokens")),
                output_tokens=whole(metrics.get("completion_tokens")),
                cost=real(metrics.get("cost_usd")),
            ),
            extra=rest(given, _STEP_USED, Step.__struct_fields__),
        )

    def _delegated(self, given: Mapping[str, Any], step: Step) -> None:
        """The steps of the subagents that a step called follow it."""
        left = []
        for result in _results_of(given):
            for reference in a_list(result.get("subagent_trajectory_ref"), "subagent_trajectory_ref"):
                name = a_map(reference).get("trajectory_id")
                if isinstance(name, str) and name in self._inside and name not in self._seen:
                    self._seen.add(name)
                    self.trajectory(self._inside[name], str(step.agent))
                else:
                    left.append(reference)
        if left:
            step.extra = {**step.extra, "subagents": left}


def _call(given: object) -> ToolCall:
    call = need_map(given, "a tool call")
    name = need(call, "function_name", str)
    return ToolCall(name=name, arguments=call.get("arguments"), id=text(call.get("tool_call_id"), "tool_call_id"))


def _results_of(step: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    observation = step.get("observation")
    if observation is None:
        return []
    results = a_list(need_map(observation, "an observation").get("results"), "results")
    return [need_map(r, "a result") for r in results]


def _results(step: Mapping[str, Any], names: Mapping[str | None, str]) -> list[Message]:
    """The results of a step as replies; `names` of its tools by the ids of their calls."""
    out = []
    for result in _results_of(step):
        call = text(result.get("source_call_id"), "source_call_id")
        message = _message("tool", result.get("content"))
        message.call, message.name = call, names.get(call) if call is not None else None
        out.append(message)
    return out


def _message(role: str, content: Any) -> Message:
    found = []
    for part in content if isinstance(content, list) else ():
        path = a_map(a_map(part).get("source")).get("path")
        if isinstance(path, str):
            found.append(path)
    return Message(role=role, content=words(content), images=found)


def _tokens(metrics: Mapping[str, Any]) -> Tokens | None:
    ids, logps = metrics.get("completion_token_ids"), metrics.get("logprobs")
    ids = ids if isinstance(ids, list) and ids and all(whole(i) is not None for i in ids) else None
    logps = logps if isinstance(logps, list) and logps and all(_logp(x) for x in logps) else None
    if ids and logps and len(ids) != len(logps):
        raise DataError("tokens and their logprobs differ in number", got=(len(ids), len(logps)), expected="equal")
    return Tokens(id=ids, old_logp=logps) if ids or logps else None


def _logp(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
