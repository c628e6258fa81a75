"""Episodes of rLLM: one a row (`rllm eval --save-episodes` and its episode logger write one a file).

- group: what stands before ":" in the episode's `id`; an id without one: `task.id`, else `task_hash`, else a short
  hash of the task. rollout: what stands behind ":", else the id. outcome: `is_correct` as 1 or 0 (rLLM writes false
  also where nothing judged). task: the task's text (`question`, `instruction`, `problem` or `prompt` of an object). Its
  `ground_truth` or `answer` is kept as a field of the rollout.
- step: one step of a trajectory; agent: the trajectory's `name`. An episode of several trajectories (solver and judge)
  is one rollout: their steps follow one another in the order of the file, which need not be that of time; each
  trajectory's reward is a reward of the rollout, by its name.
- text: `model_response`, else `output`, else the last message of `chat_completions`; reasoning: `thought`; tool calls
  from that message; action: `action` as text, else the calls.
- observation: rLLM keeps with a step what the agent saw before it; so ours is what the next step of the trajectory saw:
  what `chat_completions` gained, else `observation`. After the last step nothing is known. context: the messages
  before the first step.
- reward: `reward` of the step, if some step of the episode has one other than 0, which is also what rLLM writes where
  there was none. evidence `mc_return`: on the same terms.
- tokens: `response_ids` as `id`, `logprobs` as `old_logp`. policy_version: `weight_version`, if all steps have one.
- not known: states. `prompt_ids`, `advantage`, `info` and others are kept as fields of the step.
Written against rLLM 0.3 (commit 9beb6e0f): `Episode.to_dict`, `model_dump` and `EpisodeLogger`.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import structs

from stepcredit.data.formats._fields import key, need, number, rest, text
from stepcredit.data.formats._messages import as_text, message_of, observe, turns
from stepcredit.data.formats._traces import UNNAMED, Made, a_list, a_map, a_str, digest, named, need_map, origin, whole
from stepcredit.data.records import Message, Rollout, Step, Tokens
from stepcredit.data.rows import Rows
from stepcredit.errors import DataError

FIELDS = ("id", "episode_id", "task", "is_correct", "trajectories")
_TASK = ("question", "instruction", "problem", "prompt")
_REFERENCES = ("ground_truth", "answer")
_USED = (*FIELDS, "group", "rollout", "outcome")
_STEP_USED = (
    *("model_response", "thought", "action", "observation", "reward", "chat_completions", "response_ids", "logprobs"),
    *("mc_return", "weight_version", "id", "input", "output", "done"),
)


def fits(first: Mapping[str, Any], path: str) -> bool:
    """A row with `trajectories` and `is_correct`."""
    return isinstance(first.get("trajectories"), list) and "is_correct" in first


def rollouts(rows: Rows) -> Iterator[Rollout]:
    """One rollout a row."""
    return named(rows, _made(rows))


def _made(rows: Rows) -> Iterator[Made]:
    for row in rows:
        with rows.guard(row):
            yield Made(row, _rollout(row.value))


def _rollout(row: dict[str, Any]) -> Rollout:
    trajectories = [need_map(t, f"trajectory {i}") for i, t in enumerate(need(row, "trajectories", list))]
    before: list[Message] = []
    steps: list[Step] = []
    rewards: dict[str, float | None] = {}
    versions = set()
    for i, trajectory in enumerate(trajectories):
        name = a_str(trajectory.get("name"))
        given = [need_map(s, f"step {k}") for k, s in enumerate(a_list(trajectory.get("steps"), "steps"))]
        found, opened = _steps(given, name)
        before = opened if not steps else before
        steps += found
        versions |= {whole(s.get("weight_version")) for s in given}
        label = name or f"trajectory {i}"
        if trajectory.get("reward") is not None:
            rewards[label if label not in rewards else f"{label} {i}"] = number(trajectory["reward"], "reward")
    _only_if_some(steps)
    group, rollout = _names(row)
    version = versions.pop() if len(versions) == 1 else None
    return Rollout(
        group=key(row.get("group", group), "task"),
        rollout=key(row.get("rollout", rollout), "id") if row.get("rollout", rollout) != UNNAMED else UNNAMED,
        outcome=number(row["outcome"] if "outcome" in row else row.get("is_correct"), "is_correct"),
        task=_task(row.get("task")),
        rewards=rewards,
        policy_version=version,
        context=before,
        steps=steps,
        extra={**_reference(row), **rest(row, _USED, Rollout.__struct_fields__)},
    )


def _names(row: Mapping[str, Any]) -> tuple[str | int, str | int]:
    """Of the task, and of the attempt."""
    own = row.get("id", row.get("episode_id"))
    own = str(own) if isinstance(own, str | int) and not isinstance(own, bool) else ""
    task, colon, attempt = own.rpartition(":")
    if colon and task and attempt:
        return task, attempt
    given = a_map(row.get("task")).get("id", row.get("task_hash"))
    if isinstance(given, str | int) and not isinstance(given, bool):
        return given, own
    return digest(repr(row.get("task"))) if row.get("task") is not None else UNNAMED, own


def _task(task: object) -> str | None:
    if isinstance(task, Mapping):
        return next((task[f] for f in _TASK if isinstance(task.get(f), str)), None)
    return task if isinstance(task, str) else None


def _reference(row: Mapping[str, Any]) -> dict[str, Any]:
    """The right answer, where the task holds it, under its own name."""
    task = a_map(row.get("task"))
    holder = {**a_map(task.get("metadata")), **task}
    return {f: holder[f] for f in _REFERENCES if isinstance(holder.get(f), str | int | float)}


def _steps(given: list[Mapping[str, Any]], name: str | None) -> tuple[list[Step], list[Message]]:
    """Steps of one trajectory, and the messages before the first."""
    chats = [_chat(s) for s in given]
    steps = [_step(s, chat, name, i) for i, (s, chat) in enumerate(zip(given, chats, strict=True))]
    for i, step in enumerate(steps[:-1]):
        step.replies = _between(chats[i], chats[i + 1], given[i + 1].get("observation"))
        if step.replies:
            observe(step)
    opened = [message_of(m) for m in chats[0][:-1]] if chats and chats[0] else []
    if not opened and given and given[0].get("observation") is not None:
        opened = _seen(given[0]["observation"])
    return steps, opened


def _chat(step: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The messages up to the answer of a step."""
    messages = a_list(step.get("chat_completions"), "chat_completions")
    found = turns(messages, "chat_completions")
    for message in messages:
        message_of(message)
    return messages[: found[-1].at + 1] if found else []


def _between(before: list[Any], after: list[Any], seen: object) -> list[Message]:
    """What came between two steps."""
    if before and after[: len(before)] == before and len(after) > len(before):
        return [message_of(m) for m in after[len(before) : -1]]
    return [] if seen is None else _seen(seen)


def _seen(observation: object) -> list[Message]:
    return [Message(role="user", content=observation if isinstance(observation, str) else _json(observation))]


def _json(value: object) -> str:
    """A value as JSON with sorted keys; text as it is."""
    return value if isinstance(value, str) else as_text([value])[1:-1]


def _step(given: Mapping[str, Any], chat: list[Mapping[str, Any]], name: str | None, index: int) -> Step:
    last = turns(chat[-1:])[0].step if chat else Step()
    said = next((v for f in ("model_response", "output") if isinstance(v := given.get(f), str) and v), last.text)
    action = given.get("action")
    if isinstance(action, Mapping) and set(action) == {"action"}:
        action = action["action"]
    extra = rest(given, _STEP_USED, Step.__struct_fields__)
    evidence = {"mc_return": number(given["mc_return"], "mc_return")} if given.get("mc_return") is not None else {}
    return structs.replace(
        last,
        agent=last.agent or name,
        text=said,
        reasoning=text(given.get("thought"), "thought") or last.reasoning,
        action=_json(action) if action is not None else last.action,
        reward=number(given.get("reward"), "reward"),
        evidence=evidence,
        tokens=_tokens(given, index),
        origin=origin(id=a_str(given.get("id"))),
        extra={k: v for k, v in extra.items() if v is not None and v != []},
    )


def _only_if_some(steps: list[Step]) -> None:
    """0 is what rLLM writes where there was no reward: it counts if another step has one."""
    if not any(step.reward for step in steps):
        for step in steps:
            step.reward = None
    if not any(step.evidence.get("mc_return") for step in steps):
        for step in steps:
            step.evidence = {}


def _tokens(given: Mapping[str, Any], index: int) -> Tokens | None:
    ids, logps = a_list(given.get("response_ids"), "response_ids"), a_list(given.get("logprobs"), "logprobs")
    if any(whole(i) is None for i in ids):
        raise DataError(f"response_ids of step {index} must be numbers", got=ids, expected="whole numbers")
    if ids and logps and len(ids) != len(logps):
        got = (len(ids), len(logps))
        raise DataError(f"tokens and logprobs of step {index} differ in number", got=got, expected="equal")
    found = [number(x, "logprobs") for x in logps]
    return Tokens(id=ids or None, old_logp=found or None) if ids or found else None
