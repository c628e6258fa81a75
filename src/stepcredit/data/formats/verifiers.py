"""Rollouts of verifiers: traces (`traces.jsonl`, version 1) and the older results (`results.jsonl`).

Traces hold a graph of messages, each stored once, with the one before it as `parent`.
- group: `task.key`, else `task.hash`, else `id` or `idx` of the task. rollout: `id`. task: the prompt of the task, as
  text. outcome: the sum of `rewards`, score times weight; unknown where none was given. Each score is a reward too.
- step: one message that a model call made (`sampled`), in the order of the graph, of every branch: a subagent's and
  those after a compaction as well. One that does not go on from the step before names the one it goes on from as its
  field `parent` (a number, or null). agent: `agent.name`. Messages that the model did not make are replies to the step
  before them on their path; those of a new root are replies to the latest step; before any step they are context.
- tokens: those of `token_ids` that `mask` marks as sampled, with `logprobs` as `old_logp`. origin: of the call that
  made the message: model, time, tokens, cost.
- not known: states, rewards of steps (there may be some in `info`). Advantages are kept as fields of the steps.

Results (before v1) are {"example_id", "prompt", "completion", "reward", ...}, one a row.
- group: `example_id`. rollout: the number of the attempt. outcome: `reward`. context: `prompt`; steps: the assistant
  messages of `completion`, or all of it if it is text. The right answer stays at `answer`.
Other fields are kept. Written against verifiers 0.4.0 (TRACE_VERSION 1; results: its `legacy` package).
"""

from collections.abc import Iterator, Mapping
from typing import Any

from stepcredit.data.formats._fields import key, need, number, rest
from stepcredit.data.formats._messages import Turn, message_of, observe, opening, turns
from stepcredit.data.formats._traces import (
    UNNAMED,
    Made,
    a_list,
    a_map,
    a_str,
    named,
    need_map,
    origin,
    real,
    seconds,
    whole,
)
from stepcredit.data.records import Message, Origin, Rollout, Step, Tokens
from stepcredit.data.rows import Rows
from stepcredit.errors import DataError

FIELDS = ("id", "task", "nodes", "calls", "rewards", "agent", "example_id", "prompt", "completion", "reward")
_USED = ("id", "task", "nodes", "calls", "rewards", "group", "rollout", "outcome")
_RESULT_USED = ("example_id", "prompt", "completion", "reward", "group", "rollout", "outcome")
_VERSION = 1
_KEPT = ("advantages", "reference_logprobs", "trainer_logprobs", "entropies", "semantic_parents", "loss_weights")


def fits(first: Mapping[str, Any], path: str) -> bool:
    """A trace: `nodes` and an object `task`; or a result: `example_id`, `prompt`, `completion` and `reward`."""
    if isinstance(first.get("nodes"), list):
        return isinstance(first.get("task"), Mapping)
    return {"example_id", "prompt", "completion", "reward"} <= first.keys()


def rollouts(rows: Rows) -> Iterator[Rollout]:
    """One rollout a row."""
    return named(rows, _made(rows))


def _made(rows: Rows) -> Iterator[Made]:
    for row in rows:
        with rows.guard(row):
            yield Made(row, _trace(row.value) if "nodes" in row.value else _result(row.value))


def _trace(row: dict[str, Any]) -> Rollout:
    if row.get("version", _VERSION) != _VERSION:
        raise DataError("a trace of another version", got=row["version"], expected=_VERSION)
    task = need_map(row.get("task"), "field 'task'")
    data = a_map(task.get("data"))
    names = (row.get("group"), task.get("key"), task.get("hash"), data.get("id"), data.get("idx"))
    group = next((n for n in names if n is not None), None)
    if group is None:
        raise DataError(
            "the task has no name", got=f"fields {', '.join(map(str, task))}", expected="key, hash or data.id"
        )
    rewards, outcome = _rewards(row.get("rewards"))
    before, steps = _steps(row)
    failed = [
        c["error"] for c in a_list(row.get("calls"), "calls") if a_map(c).get("node") is None and a_map(c).get("error")
    ]
    extra = rest(row, _USED, Rollout.__struct_fields__)
    answer = data.get("answer")
    return Rollout(
        group=key(group, "task"),
        rollout=key(row["rollout"] if "rollout" in row else row.get("id"), "id"),
        outcome=number(row["outcome"], "outcome") if "outcome" in row else outcome,
        task=_prompt(data.get("prompt")) or next((m.content for m in before if m.role == "user"), None),
        rewards=rewards,
        context=before,
        steps=steps,
        extra={
            **extra,
            **({"answer": answer} if isinstance(answer, str) and "answer" not in extra else {}),
            **({"failed_calls": failed} if failed else {}),
        },
    )


def _rewards(given: object) -> tuple[dict[str, float | None], float | None]:
    """The score of each reward, and their weighted sum; None: none is known."""
    scores: dict[str, float | None] = {}
    total = None
    for name, value in need_map(given or {}, "field 'rewards'").items():
        reward = value if isinstance(value, Mapping) else {"score": value}
        score, weight = number(reward.get("score"), name), number(reward.get("weight", 1.0), f"{name}.weight")
        scores[name] = score
        if score is not None and weight is not None:
            total = (total or 0.0) + score * weight
    return scores, number(total, "rewards")


def _prompt(prompt: object) -> str | None:
    return prompt if isinstance(prompt, str) else opening(prompt)


def _steps(row: Mapping[str, Any]) -> tuple[list[Message], list[Step]]:
    """Messages before the first step, and the steps with their replies."""
    agent = a_str(a_map(row.get("agent")).get("name"))
    calls = {c["node"]: c for c in map(a_map, a_list(row.get("calls"), "calls")) if isinstance(c.get("node"), int)}
    nodes = [need_map(node, f"node {i}") for i, node in enumerate(need(row, "nodes", list))]
    before: list[Message] = []
    steps: list[Step] = []
    step_of: list[int | None] = []  # the step that each node is, or follows on its path
    for i, node in enumerate(nodes):
        parent = _parent(node.get("parent"), i)
        after = step_of[parent] if parent is not None else None
        message = need_map(node.get("message"), f"the message of node {i}")
        if node.get("sampled") is True:
            (turn,) = _turn(message, i)
            step = _made_by(turn, node, calls.get(i), agent, a_str(row.get("id")), i)
            if after != (len(steps) - 1 if steps else None):
                step.extra = {**step.extra, "parent": after}
            steps.append(step)
            step_of.append(len(steps) - 1)
            continue
        step_of.append(after)
        at = after if after is not None else len(steps) - 1 if steps else None
        if not isinstance(message.get("role"), str):
            raise DataError(f"the message of node {i} must have a role", got=message, expected='{"role": ...}')
        (before if at is None else steps[at].replies).append(message_of(message))
    for step in steps:
        if step.replies:
            observe(step)
    return before, steps


def _parent(parent: object, index: int) -> int | None:
    if parent is None or (isinstance(parent, int) and not isinstance(parent, bool) and 0 <= parent < index):
        return parent
    raise DataError(f"the parent of node {index} must stand before it", got=repr(parent), expected=f"0 to {index - 1}")


def _turn(message: Mapping[str, Any], index: int) -> list[Turn]:
    found = turns([message])
    if len(found) != 1:
        raise DataError(f"node {index} was sampled and is no message of the assistant", got=message.get("role"))
    return found


def _made_by(
    turn: Turn,
    node: Mapping[str, Any],
    call: Mapping[str, Any] | None,
    agent: str | None,
    trace: str | None,
    index: int,
) -> Step:
    step = turn.step
    step.agent = step.agent or agent
    step.tokens = _tokens(node, index)
    step.origin = _origin(node, call or {}, trace, index)
    kept = {name: node[name] for name in _KEPT if node.get(name)}
    step.extra = {**{k: v for k, v in step.extra.items() if v is not None}, **kept}
    return step


def _tokens(node: Mapping[str, Any], index: int) -> Tokens | None:
    ids, mask = a_list(node.get("token_ids"), "token_ids"), a_list(node.get("mask"), "mask")
    logps = a_list(node.get("logprobs"), "logprobs")
    if len(ids) != len(mask):
        raise DataError(
            f"tokens and mask of node {index} differ in number", got=(len(ids), len(mask)), expected="equal"
        )
    sampled = [i for i, own in zip(ids, mask, strict=True) if own is True]
    if any(whole(i) is None for i in sampled):
        raise DataError(f"the tokens of node {index} must be numbers", got=sampled, expected="whole numbers")
    if logps and len(logps) != len(sampled):
        got = (len(sampled), len(logps))
        raise DataError(f"tokens and logprobs of node {index} differ in number", got=got, expected="equal")
    found = [number(x, "logprobs") for x in logps]
    return Tokens(id=sampled, old_logp=found or None) if sampled else None


def _origin(node: Mapping[str, Any], call: Mapping[str, Any], trace: str | None, index: int) -> Origin | None:
    usage, time = a_map(call.get("usage")), a_map(call.get("time"))
    begun, ended = real(time.get("start")), real(time.get("end"))
    sent = whole(usage.get("prompt_tokens"))
    error = call.get("error")
    return origin(
        id=str(index),
        trace=trace,
        model=a_str(call.get("model")),
        start=begun or seconds(node.get("timestamp")),
        seconds=ended - begun if begun and ended and ended >= begun else None,
        input_tokens=sent + (whole(usage.get("cached_input_tokens")) or 0) if sent is not None else None,
        output_tokens=whole(usage.get("completion_tokens")),
        cost=real(usage.get("cost")),
        error=str(a_map(error).get("message", error)) if error else None,
    )


def _result(row: dict[str, Any]) -> Rollout:
    prompt, completion = row.get("prompt"), row.get("completion")
    if completion is None or isinstance(completion, str):
        steps = [] if completion is None else [Step(text=completion)]
    else:
        steps = [turn.step for turn in turns(completion, "completion")]
    if isinstance(prompt, str):
        before = [Message(role="user", content=prompt)]
    else:
        turns(prompt or [], "prompt")
        before = [message_of(m) for m in prompt or []]
    return Rollout(
        group=key(row.get("group", row.get("example_id")), "example_id"),
        rollout=key(row["rollout"], "rollout") if "rollout" in row else UNNAMED,
        outcome=number(row.get("outcome", row.get("reward")), "reward"),
        task=prompt if isinstance(prompt, str) else opening(prompt),
        context=before,
        steps=steps,
        extra=rest(row, _RESULT_USED, Rollout.__struct_fields__),
    )
