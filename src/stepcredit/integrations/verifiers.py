"""Credit for verifiers traces (v1), on the nodes of their message graphs; and traces, live or on disk, as rollouts.

    from stepcredit.integrations.verifiers import TraceCredit, read_traces

    credit = TraceCredit("gigpo", gamma=0.95)
    credit(episode.traces)                    # traces of one task or more: sets node.advantages
    batch = read_traces("out/traces.jsonl")   # the same traces, or episodes, as a stepcredit batch

A trace is a rollout with the outcome `trace.reward`. Its steps are its sampled nodes in the order of `trace.nodes`, so
a node that several branches share is credited once. Its group is the task (the episode's group, where one is given)
and the agent's name: rollouts of a solver are not compared with those of a judge.

Columns: `trace.info["stepcredit"] = {"state": [...], "score": [...]}`, one entry per sampled node, `token_*` one per
sampled token, columns of the rollout one value. `trace.info["turn_rewards"]`, or "reward" there, are the rewards of
steps; logprobs of nodes are `token_old_logp`. So every method is served but those that need a tree, and those that
need a critic's or a reference model's number unless you write it there.

Not judged: the advantage is 0 and the token's weight in `node.loss_weights["rl"]` is 0, which takes it out of the loss
mask of prime-rl; a method's loss_weight travels the same way. There is no field for clip_scale.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from stepcredit.data import Batch, Rollout, Step, Tokens
from stepcredit.data.formats import _messages
from stepcredit.data.reading import Paths
from stepcredit.data.records import rollout_from_dict, rollout_to_dict
from stepcredit.data.storage import rows, sources
from stepcredit.errors import LayoutError
from stepcredit.integrations._padded import Padded
from stepcredit.integrations._rows import (
    KEY,
    Row,
    RowCredit,
    assign_rows,
    assigner,
    by_turn,
    refuse_extras,
    refuse_part,
    side,
    widened,
)

_CARRY = f'in verifiers, write it to trace.info["{KEY}"], a list with one entry per sampled node'
_OF_STEP = frozenset(Step.__struct_fields__) - {"evidence", "credit", "tokens", "extra", "id"}


class TraceCredit:
    """One credit method with its options, for groups of traces.

    Args:
        method: a name of `stepcredit methods`. options: its own; and `reward`, `lint_every`, `fail_on` as
            `stepcredit.integrations._padded.Assigner` takes them.
        part_of: name of a host that calls with one task at a time; methods that pool over tasks are then refused.
    """

    def __init__(self, method: str, *, part_of: str | None = None, **options: Any) -> None:
        self.assign = assigner(method, _CARRY, options)
        if part_of is not None:
            refuse_part(self.assign, part_of, "the traces of one task")

    def __call__(self, traces: Iterable[Any], group: object = None) -> Padded:
        """Set `advantages` of every sampled node that holds tokens, and loss weights where some token has not 1.

        Args:
            traces: `verifiers.v1.Trace` objects. group: name of their task; default: each names its own.

        Raises:
            LayoutError: columns that do not match the sampled nodes. MissingColumn. LintFailed.
        """
        held = [(trace, [n for n in trace.nodes if any(n.mask)]) for trace in traces]
        made = [_row(trace, nodes, group) for trace, nodes in held]
        credits, out = assign_rows(self.assign, made)
        refuse_extras(out, "verifiers", {"loss_weight"})
        weighted = any(credit.dropped or credit.loss_weight for credit in credits)
        for (_, nodes), row, credit in zip(held, made, credits, strict=True):
            _write(nodes, row, credit, weighted)
        return out


def _row(trace: Any, nodes: Sequence[Any], group: object) -> Row:
    columns = side(trace.info)
    if "turn_rewards" in trace.info:
        columns.setdefault("reward", trace.info["turn_rewards"])
    columns = _of_nodes(columns, trace, nodes)
    if nodes and all(len(node.logprobs) == sum(node.mask) for node in nodes):
        columns.setdefault("token_old_logp", [logp for node in nodes for logp in node.logprobs])
    task = _task(trace.task.key, trace.task.hash, trace.task.data) if group is None else group
    rewards = [reward for reward in trace.rewards.values() if reward is not None]
    return Row((task, trace.agent.name), [sum(n.mask) for n in nodes], trace.reward if rewards else None, None, columns)


def _of_nodes(columns: dict[str, Any], trace: Any, nodes: Sequence[Any]) -> dict[str, Any]:
    """Lists per sampled node, without the entries of nodes that hold no tokens."""
    sampled = [node for node in trace.nodes if node.sampled]
    if len(sampled) == len(nodes):
        return columns
    keep = [any(node.mask) for node in sampled]
    return {
        name: [v for v, k in zip(values, keep, strict=True) if k]
        if isinstance(values, list) and not name.startswith("token_") and len(values) == len(sampled)
        else values
        for name, values in columns.items()
    }


def _write(nodes: Sequence[Any], row: Row, credit: RowCredit, weighted: bool) -> None:
    advantages = by_turn(credit.advantages, row.turns)
    weights = credit.loss_weight or [1.0] * row.size
    cut = by_turn([weight * kept for weight, kept in zip(weights, credit.keep, strict=True)], row.turns)
    for node, values, factors in zip(nodes, advantages, cut, strict=True):
        node.advantages = values
        if weighted:
            node.loss_weights = {**(node.loss_weights or {}), "rl": widened(factors, node.mask, 0.0)}


def _task(key: object, digest: object, data: Any) -> str:
    if key is not None or digest is not None:
        return str(key if key is not None else digest)
    raw = data if isinstance(data, Mapping) else data.model_dump(mode="json", exclude_none=True)
    return json.dumps(raw, sort_keys=True, default=str)


def read_traces(path: Paths, *, group: Mapping[str, str] | None = None) -> Batch:
    """A batch from `traces.jsonl`: one trace a line, or one episode with its traces.

    Args:
        path: a file, folder, glob or a list of these. group: trace id -> task, where the file's own is not wanted.

    Raises:
        DataError: names file and row.
    """
    return Batch.from_records(rollouts((row.value for s in sources(path) for row in rows(s)), group=group))


def rollouts(traces: Iterable[Any], *, group: Mapping[str, str] | None = None) -> Iterator[Rollout]:
    """Records of traces or episodes, live or as decoded JSON; text, tool calls, observations, columns.

    Raises:
        DataError: columns of `info["stepcredit"]` that a record cannot hold. LayoutError: a row that is no trace.
    """
    for given in traces:
        raw = given if isinstance(given, Mapping) else given.model_dump(mode="json")
        if not ("traces" in raw or "nodes" in raw):
            raise LayoutError(f"neither a trace nor an episode: fields {', '.join(map(str, list(raw)[:8]))}")
        shared = (raw.get("group") or {}).get("id") if "traces" in raw else None
        for trace in raw.get("traces", [raw]):
            own = trace["task"]
            task = (group or {}).get(trace["id"]) or shared or _task(own.get("key"), own.get("hash"), own["data"])
            yield _rollout(trace, f"{task}/{trace['agent'].get('name', 'agent')}")


def _rollout(trace: Mapping[str, Any], group: str) -> Rollout:
    nodes = trace["nodes"]
    sampled = [at for at, node in enumerate(nodes) if node.get("sampled")]
    info = trace.get("info") or {}
    columns = side(info)
    if "turn_rewards" in info:
        columns.setdefault("reward", info["turn_rewards"])
    lists = {n: v for n, v in columns.items() if isinstance(v, list) and not n.startswith("token_")}
    rewards = [r["score"] * r.get("weight", 1.0) for r in trace.get("rewards", {}).values() if r is not None]
    out = Rollout(
        group=group,
        rollout=trace["id"],
        outcome=sum(rewards) if rewards else None,
        task=_messages.opening([node["message"] for node in nodes]),
        steps=[_step(nodes, at) for at in sampled],
    )
    plain = rollout_to_dict(out)
    for name, values in lists.items():
        if len(values) != len(sampled):
            raise LayoutError(
                f"trace {trace['id']!r}: info[{KEY!r}][{name!r}] has {len(values)} entries, expected {len(sampled)}, "
                "the sampled nodes"
            )
        for step, value in zip(plain.get("steps", []), values, strict=True):
            (step if name in _OF_STEP else step.setdefault("evidence", {}))[name] = value
    rest = {n: v for n, v in columns.items() if n not in lists and not n.startswith("token_")}
    if rest:
        plain["evidence"] = {**plain.get("evidence", {}), **rest}
    return rollout_from_dict(plain)


def _step(nodes: Sequence[Mapping[str, Any]], at: int) -> Step:
    replies = [n["message"] for n in nodes if n.get("parent") == at and not n.get("sampled")]
    step = _messages.turns([_plain(nodes[at]["message"]), *replies])[0].step
    count = sum(map(bool, nodes[at].get("mask") or []))
    logps = nodes[at].get("logprobs") or []
    if count:
        step.tokens = Tokens(n=count, old_logp=logps if len(logps) == count else None)
    return step


def _plain(message: Mapping[str, Any]) -> dict[str, Any]:
    """verifiers' flat tool calls, as chat messages nest them."""
    calls = [
        {"id": call.get("id"), "type": "function", "function": {"name": call["name"], "arguments": call["arguments"]}}
        for call in message.get("tool_calls") or []
    ]
    return {"role": message["role"], "content": message.get("content"), **({"tool_calls": calls} if calls else {})}
