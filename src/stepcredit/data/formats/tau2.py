"""Results of tau2-bench: one object with `tasks` and `simulations`, or a file for each simulation.

- group: "<domain>/<task_id>"; a simulation in a file of its own does not say the domain: `task_id`. rollout: `id` of
  the simulation; `trial` is kept. outcome: `reward_info.reward`; unknown where nothing was evaluated. rewards: those of
  `reward_breakdown`. task: what the simulated user was told. The expected calls, and what was to be said, are kept as
  the field `reference`, as JSON text.
- step: one assistant message. Replies: what followed, up to the next: results of tools (`error` as such), messages of
  the user, also calls that the user made (as text) and their results. context: the policy of the domain, if the file
  holds it, and what stands before the first step. action: the tool calls, as text with sorted arguments.
- state: the writes to the database so far that succeeded, the user's own among them, in order, as JSON text. A tool
  writes unless its name starts with a prefix in `reads`; a write succeeded if its result is there and no `error`.
- blame: `review.errors` of the agent, by "tau2 review" (a language model), at the assistant message of `turn_idx`, or
  the last one before it; "minor" ones are neutral, label 0. Errors of the user stay in the field `review`, as do those
  whose turn is not there (a note says so). A review that found no errors at all blames no step.
- origin: time (without a zone: UTC), duration, model, cost and tokens of each message; `raw_data`, which repeats the
  message, is left out otherwise.
- not known: rewards of steps, tokens. Voice runs (`ticks` without `messages`) cannot be read.
Other fields are kept. Written against tau2-bench 1.0.1 (commit a2c0247).
"""

import json
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from typing import Any

from stepcredit.data.formats._fields import key, need, number, rest, text
from stepcredit.data.formats._messages import as_text, context, turns
from stepcredit.data.formats._traces import Made, a_list, a_map, a_str, named, need_map, origin, real, seconds, whole
from stepcredit.data.records import Blame, Message, Origin, Rollout
from stepcredit.data.rows import Rows
from stepcredit.errors import DataError

FIELDS = ("simulations", "tasks", "info", "id", "task_id", "messages", "reward_info", "termination_reason", "review")
_SIMULATION = ("task_id", "termination_reason", "start_time")
_USED = ("id", "task_id", "messages", "group", "rollout", "outcome", "policy")
_LEFT = ("raw_data", "usage", "cost", "timestamp", "generation_time_seconds", "is_final_chunk", "contains_speech")
_TOOK = ("usage", "cost", "generation_time_seconds")  # a message without these is no model's: the greeting
_BY = "tau2 review"


def fits(first: Mapping[str, Any], path: str) -> bool:
    """Results with `simulations` (or their index) and `tasks`, or one simulation."""
    if ("simulations" in first or "simulation_index" in first) and isinstance(first.get("tasks"), list):
        return True
    return all(name in first for name in _SIMULATION) and ("messages" in first or "ticks" in first)


def rollouts(
    rows: Rows, *, reads: str = "get_,search_,list_,find_,calculate,think,transfer,check_,can_,run_speed_test,kb_"
) -> Iterator[Rollout]:
    """One rollout a simulation.

    Args:
        reads: prefixes of the names of tools that change nothing, with commas between.
    """
    return named(rows, _made(rows, tuple(p.strip() for p in reads.split(",") if p.strip())))


def _made(rows: Rows, reads: tuple[str, ...]) -> Iterator[Made]:
    for row in rows:
        with rows.guard(row):
            value = row.value
            if "simulations" not in value and "simulation_index" in value:
                raise DataError(
                    "these results keep their simulations in files of their own", hint="name the folder simulations/"
                )
            if "simulations" not in value:
                yield Made(row, _rollout(value, {}, {}, reads, rows))
                continue
            info = a_map(value.get("info"))
            tasks = {str(t.get("id")): t for t in map(a_map, a_list(value.get("tasks"), "tasks"))}
            for i, given in enumerate(need(value, "simulations", list)):
                with rows.guard(row):
                    simulation = need_map(given, f"simulation {i}")
                    yield Made(row, _rollout(simulation, info, tasks, reads, rows))


def _rollout(
    row: Mapping[str, Any],
    info: Mapping[str, Any],
    tasks: Mapping[str, Mapping[str, Any]],
    reads: tuple[str, ...],
    rows: Rows,
) -> Rollout:
    name = key(row.get("task_id"), "task_id")
    domain = a_str(a_map(info.get("environment_info")).get("domain_name"))
    task = tasks.get(str(name), {})
    reward = a_map(row.get("reward_info"))
    if row.get("messages") is None and row.get("ticks"):
        raise DataError("a voice run, without messages", got="ticks", expected="messages")
    messages = _plain(a_list(row.get("messages"), "messages"))
    found = turns(messages)
    model = a_str(a_map(info.get("agent_info")).get("llm"))
    done: list[Any] = []
    ends = [*(turn.at for turn in found[1:]), len(messages)][: len(found)]
    done += _writes(messages[: found[0].at] if found else messages, reads)
    for turn, end in zip(found, ends, strict=True):
        turn.step.state = as_text(done)
        turn.step.origin = _origin(messages[turn.at], model)
        extra = turn.step.extra
        turn.step.extra = {k: v for k, v in extra.items() if k not in _LEFT and v is not None and v is not False}
        done += _writes(messages[turn.at : end], reads)
    policy = a_str(row.get("policy")) or a_str(a_map(info.get("environment_info")).get("policy"))
    extra = rest(row, _USED, Rollout.__struct_fields__)
    reference = _reference(task)
    return Rollout(
        group=key(row["group"], "group") if "group" in row else f"{domain}/{name}" if domain else name,
        rollout=key(row.get("rollout", row.get("id")), "id"),
        outcome=number(row["outcome"] if "outcome" in row else reward.get("reward"), "reward"),
        task=_told(task),
        rewards={k: number(v, k) for k, v in a_map(reward.get("reward_breakdown")).items()},
        context=([Message(role="system", content=policy)] if policy else []) + context(messages),
        steps=[turn.step for turn in found],
        final_state=as_text(done),
        blame=_blame(row, [turn.at for turn in found], messages, rows),
        extra={**extra, **({"reference": reference} if reference and "reference" not in extra else {})},
    )


def _plain(given: list[Any]) -> list[dict[str, Any]]:
    """Messages in the shape of chat completions; several results in one become several."""
    flat: list[Mapping[str, Any]] = []
    for i, value in enumerate(given):
        message = need_map(value, f"message {i}")
        inner = message.get("tool_messages")
        flat += [need_map(m, f"a result in message {i}") for m in inner] if isinstance(inner, list) else [message]
    names: dict[str, str] = {}
    out = []
    for message in flat:
        calls = [a_map(c) for c in a_list(message.get("tool_calls"), "tool_calls")]
        names |= {c["id"]: c["name"] for c in calls if a_str(c.get("id")) and a_str(c.get("name"))}
        plain = dict(message)
        if message.get("role") == "tool":
            plain["tool_call_id"] = message.get("id")
            plain["name"] = names.get(str(message.get("id")))
        elif message.get("role") == "user" and calls:
            said = [c for c in (message.get("content"), *map(_called, calls)) if isinstance(c, str) and c]
            plain["content"] = "\n".join(said)
        out.append(plain)
    return out


def _called(call: Mapping[str, Any]) -> str:
    return f"{call.get('name')}({json.dumps(call.get('arguments'), ensure_ascii=False)})"


def _writes(messages: list[dict[str, Any]], reads: tuple[str, ...]) -> list[Any]:
    """Calls among the messages that changed the database."""
    results = (m.get("tool_call_id") for m in messages if m["role"] == "tool" and m.get("error") is not True)
    made = {name for name in results if isinstance(name, str)}
    out = []
    for message in messages:
        for call in a_list(message.get("tool_calls"), "tool_calls"):
            name, number = a_map(call).get("name"), a_map(call).get("id")
            if isinstance(name, str) and not name.startswith(reads) and isinstance(number, str) and number in made:
                out.append([name, call.get("arguments")])
    return out


def _origin(message: Mapping[str, Any], model: str | None) -> Origin | None:
    usage, raw = a_map(message.get("usage")), a_map(message.get("raw_data"))
    return origin(
        response=a_str(raw.get("id")),
        model=a_str(raw.get("model")) or (model if any(message.get(f) is not None for f in _TOOK) else None),
        start=seconds(message.get("timestamp")),
        seconds=real(message.get("generation_time_seconds")),
        input_tokens=whole(usage.get("prompt_tokens")),
        output_tokens=whole(usage.get("completion_tokens")),
        cost=real(message.get("cost")),
    )


def _told(task: Mapping[str, Any]) -> str | None:
    """What the simulated user was told."""
    told = a_map(task.get("user_scenario")).get("instructions")
    if isinstance(told, Mapping):
        told = "\n".join(f"{k}: {v}" for k, v in told.items() if isinstance(v, str))
    return told if isinstance(told, str) else None


def _reference(task: Mapping[str, Any]) -> str | None:
    """The calls that were expected, and what was to be said and hold."""
    criteria = a_map(task.get("evaluation_criteria"))
    calls = [[c.get("name"), c.get("arguments")] for c in map(a_map, a_list(criteria.get("actions"), "actions"))]
    known = {"actions": calls, **{k: criteria.get(k) for k in ("communicate_info", "nl_assertions")}}
    known = {k: v for k, v in known.items() if v}
    return json.dumps(known, ensure_ascii=False) if known else None


def _blame(row: Mapping[str, Any], found: list[int], messages: list[dict[str, Any]], rows: Rows) -> list[Blame]:
    """Errors of the agent that a review found. found: places of the assistant messages."""
    review = row.get("review")
    if review is None:
        return []
    errors = [need_map(e, "an error of the review") for e in a_list(need_map(review, "review").get("errors"), "errors")]
    if not errors and need_map(review, "review").get("has_errors") is not True:
        return [Blame(by=_BY, step=None, reason=text(a_map(review).get("summary"), "summary") or None)]
    places = _places(messages, found)
    out = []
    for error in errors:
        if error.get("source") == "user":
            continue
        turn = error.get("turn_idx")
        at = places.get(turn) if isinstance(turn, int) else None
        if at is None:
            rows.note("errors of tau2's review whose turn is not in the run are left out")
            continue
        tags = [t for t in a_list(error.get("error_tags"), "error_tags") if isinstance(t, str)]
        kept = ("severity", "error_tags", "correct_behavior", "source")
        out.append(
            Blame(
                by=_BY,
                step=at,
                label=0.0 if error.get("severity") == "minor" else -1.0,
                error=tags[0] if tags else a_str(error.get("error_type")),
                reason=text(error.get("reasoning"), "reasoning"),
                evidence={k: error[k] for k in kept if error.get(k)},
            )
        )
    return out


def _places(messages: list[dict[str, Any]], found: list[int]) -> dict[int, int]:
    """The step that each turn number is at: its own, else the one before."""
    numbered = any(m.get("turn_idx") is not None for m in messages)
    out: dict[int, int] = {}
    for i, message in enumerate(messages):
        number = message.get("turn_idx") if numbered else i
        at = bisect_right(found, i) - 1
        if at >= 0 and isinstance(number, int) and not isinstance(number, bool):
            out.setdefault(number, at)
    return out
