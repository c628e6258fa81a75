"""Trajectories of SWE-agent (`.traj`), one rollout a file, as versions up to 1.1 write them; a file that holds the
`history` alone, as its demonstrations do, is read too.

- group: the id of the problem in `replay_config`, else the file's name. rollout: the folder of the run.
- step: an item of `trajectory`: `response` is its text, `action` its action, `observation` its reply. Its tool calls
  are those of `history`, where an equal action stands there. context: the history before the first step, without
  demonstrations.
- state: what `state` tells after each action, where it holds the `diff` of the repository (1.1 with the tool
  diff_state): steps are comparable where open file, folder and diff are equal. Without a diff it says little of the
  state (two repositories that differ have the same open file), and is kept among the other fields only.
- not known: the outcome (whether the problem is resolved stands in the report of SWE-bench; `info.resolved`, where
  somebody put it, is read), rewards of steps, tokens.

Files of mini-swe-agent (`.traj.json`, trajectory formats 1 and 1.1) are read too:

- group: `instance_id`, else a short hash of the opening. rollout: as above, else the name of the file.
- step: an answer of the model, in the shape of chat completions or of the Responses API; also one that the agent could
  not read, where the complaint holds it. action: its commands where it called no tools. A reply is an error where its
  return code is not 0. What the last command printed is its submission. A run that a failed call of the model ended
  has a last step with that error alone.
- not known: states, and the outcome as above.
"""

from collections.abc import Iterator, Mapping
from pathlib import PurePath
from typing import Any

from stepcredit.data.formats._fields import key, need, number
from stepcredit.data.formats._messages import as_text as in_order
from stepcredit.data.formats._messages import calls, message_of, opening, words
from stepcredit.data.formats._mini_swe import is_mini
from stepcredit.data.formats._mini_swe import rollout as mini
from stepcredit.data.formats._spans import as_number, as_text, decoded
from stepcredit.data.formats._traces import Made, named
from stepcredit.data.records import Message, Origin, Rollout, Step
from stepcredit.data.rows import Rows
from stepcredit.errors import DataError

FIELDS = (
    *("trajectory", "history", "info", "environment", "replay_config", "messages", "instance_id"),
    *("group", "rollout", "outcome"),
)
_USED = ("action", "observation", "response", "state", "query", "messages", "execution_time")


def fits(first: Mapping[str, Any], path: str) -> bool:
    """An object with a trajectory of actions and observations, or one of mini-swe-agent."""
    if is_mini(first):
        return True
    steps, history = first.get("trajectory"), first.get("history")
    if steps is None and isinstance(history, list) and history:
        return all(isinstance(m, Mapping) and "message_type" in m and "role" in m for m in history[:2])
    if not isinstance(steps, list) or not ("history" in first or "info" in first):
        return False
    return all(isinstance(s, Mapping) and "action" in s and "observation" in s for s in steps[:1])


def rollouts(rows: Rows) -> Iterator[Rollout]:
    """One rollout a row."""
    return named(rows, _made(rows))


def _made(rows: Rows) -> Iterator[Made]:
    for row in rows:
        with rows.guard(row):
            if is_mini(row.value):
                yield Made(row, mini(row.value, _names(row.value, row.file)[1], rows))
            else:
                yield Made(row, _rollout(row.value, row.file, rows))


def _rollout(row: Mapping[str, Any], file: str, rows: Rows) -> Rollout:
    told = row.get("history")
    told = told if isinstance(told, list) else []
    history = [m for m in told if isinstance(m, Mapping) and isinstance(m.get("role"), str)]
    before = _before(history)
    made = [m for m in history if m["role"] == "assistant" and not _shown(m)]
    steps: list[Step] = []
    state: str | None = None
    for i, item in enumerate(need(row, "trajectory", list) if "trajectory" in row else _items(history)):
        if not isinstance(item, Mapping):
            raise DataError(f"item {i} of the trajectory must be an object", got=item, expected='{"action": ...}')
        step = _step(item, made)
        step.state, state = state, _state(item.get("state"))
        step.next_state = state
        steps.append(step)
    if steps and not any(s.next_state for s in steps):
        rows.note("states: left out, as the trajectories do not tell the diff of the repository")
    name, run = _names(row, file)
    info = row.get("info")
    info = info if isinstance(info, Mapping) else {}
    resolved = row.get("outcome", info.get("resolved"))
    return Rollout(
        group=key(row.get("group", name), "group"),
        rollout=key(row.get("rollout", run), "rollout"),
        outcome=number(resolved, "outcome"),
        task=_task(row) or opening([dict(m) for m in before]),
        context=[_message(m) for m in before],
        steps=steps,
        final_state=state,
        extra={k: v for k, v in (("environment", row.get("environment")), ("info", dict(info))) if v},
    )


def _step(item: Mapping[str, Any], made: list[Mapping[str, Any]]) -> Step:
    """An item of the trajectory; takes the message of the history that it comes from off the front of `made`."""
    action = as_text(item.get("action"))
    at = next((i for i, m in enumerate(made) if as_text(m.get("action")) == action), None)
    told: Mapping[str, Any] = {} if at is None else made[at]
    if at is not None:
        del made[: at + 1]
    seen = item.get("observation")
    observation = seen if isinstance(seen, str) else as_text(seen)
    tool_calls = calls(told) if told.get("tool_calls") else []
    role = "tool" if tool_calls else "user"
    call = tool_calls[0].id if len(tool_calls) == 1 else None
    seconds = as_number(item.get("execution_time"))
    return Step(
        agent=as_text(told.get("agent")),
        text=as_text(item.get("response")),
        reasoning="\n".join(_thoughts(told.get("thinking_blocks"))) or None,
        action=action,
        tool_calls=tool_calls,
        observation=observation,
        replies=[] if observation is None else [Message(role=role, call=call)],
        origin=None if seconds is None else Origin(seconds=seconds),
        extra={(f"source.{k}" if k in Step.__struct_fields__ else k): v for k, v in _rest(item).items()},
    )


def _items(history: list[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Items as of a trajectory, from a history alone: what stands between two messages of the agent was observed."""
    out: list[dict[str, Any]] = []
    for message in history:
        if message["role"] == "assistant" and not _shown(message):
            out.append(
                {"action": message.get("action"), "observation": None, "response": words(message.get("content"))}
            )
        elif out:
            seen = words(message.get("content")) or ""
            before = out[-1]["observation"]
            out[-1]["observation"] = seen if before is None else before + "\n" + seen
    return out


def _thoughts(blocks: object) -> list[str]:
    """Texts of the blocks in which a model thought."""
    given = [b.get("thinking") for b in blocks if isinstance(b, Mapping)] if isinstance(blocks, list) else []
    return [t for t in given if isinstance(t, str)]


def _rest(item: Mapping[str, Any]) -> dict[str, Any]:
    """What else an item holds; the state only where it is not ours."""
    out = {k: v for k, v in item.items() if k not in _USED and v not in (None, "", {}, [])}
    if out.get("thought") == item.get("response"):
        out.pop("thought", None)
    state = decoded(item.get("state"))
    if _state(state) is None and state:
        out["environment_state"] = state
    return out


def _state(given: Any) -> str | None:
    """A state that tells the diff, as text."""
    state = decoded(given)
    if not isinstance(state, Mapping) or "diff" not in state:
        return None
    return in_order([dict(state)])


def _before(history: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    out = []
    for message in history:
        if message["role"] == "assistant" and not _shown(message):
            break
        if not _shown(message):
            out.append(message)
    return out


def _shown(message: Mapping[str, Any]) -> bool:
    """Whether it is part of a demonstration."""
    return message.get("is_demo") is True or message.get("message_type") == "demonstration"


def _message(message: Mapping[str, Any]) -> Message:
    return message_of({"role": message["role"], "content": words(message.get("content"))})


def _config(row: Mapping[str, Any]) -> Mapping[str, Any]:
    config = decoded(row.get("replay_config"))
    problem = config.get("problem_statement") if isinstance(config, Mapping) else None
    return problem if isinstance(problem, Mapping) else {}


def _task(row: Mapping[str, Any]) -> str | None:
    problem = _config(row)
    return next((t for n in ("text", "problem_statement", "issue") if isinstance(t := problem.get(n), str) and t), None)


def _names(row: Mapping[str, Any], file: str) -> tuple[str, str]:
    """(problem, run), from the configuration and the place of the file: RUN/PROBLEM/PROBLEM.traj, RUN/PROBLEM.traj."""
    path = PurePath(file)
    stem = path.name.removesuffix(".gz").removesuffix(".zst").removesuffix(".traj").removesuffix(".json")
    name = as_text(_config(row).get("id")) or stem
    folders = [p for p in path.parts[:-1] if p not in ("/", ".", "..")]
    if folders and folders[-1] in (name, stem):
        folders.pop()
    return name, folders[-1] if folders else stem
