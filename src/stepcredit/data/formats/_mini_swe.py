"""Trajectories of mini-swe-agent (`.traj.json`), of versions 1 and 2: messages in the shape of its model's API."""

import re
from collections.abc import Mapping
from typing import Any

from stepcredit.data.formats import openai_responses
from stepcredit.data.formats._calls import is_item
from stepcredit.data.formats._fields import key, number
from stepcredit.data.formats._messages import context, opening, turns
from stepcredit.data.formats._traces import UNNAMED, a_list, a_map, a_str, by_opening, origin, real, seconds, whole
from stepcredit.data.formats.anthropic_messages import plain
from stepcredit.data.records import Origin, Rollout, Step
from stepcredit.data.rows import Rows

_SHELL = re.compile(r"```(?:bash|mswea_bash_command)\s*\n(.*?)\n```", re.DOTALL)
_LONGEST = 1_000_000  # of a text in which an action is looked for
_OURS = ("extra", "timestamp", "provider_specific_fields", "object", "id")


def is_mini(row: Mapping[str, Any]) -> bool:
    """Does a row say that mini-swe-agent wrote it?"""
    return str(row.get("trajectory_format", "")).startswith("mini-swe-agent") and isinstance(row.get("messages"), list)


def rollout(row: Mapping[str, Any], run: str, rows: Rows) -> Rollout:
    """The rollout of a file. run: its name where the file names the problem; else the caller finds one.

    Raises:
        DataError
    """
    info = dict(a_map(row.get("info")))
    model = a_str(a_map(a_map(info.get("config")).get("model")).get("model_name"))
    messages = _messages(row["messages"])
    ended = messages.pop() if messages and a_map(messages[-1]).get("role") == "exit" else {}
    told = a_map(ended.get("extra"))
    last = a_map(messages[-1]) if messages else {}
    if row["trajectory_format"] == "mini-swe-agent-1" and last.get("role") == "user" and last.get("content") == "":
        messages.pop()  # how version 1 ends a run at a limit
    if told.get("exit_status") == "Submitted" and ended.get("content"):
        messages.append(_printed(messages, ended["content"]))
    steps = [_step(turn.step, messages[turn.at], model) for turn in turns(messages)]
    if told.get("exception_str"):
        steps.append(Step(origin=Origin(error=f"{told.get('exit_status')}: {told['exception_str']}")))
    before = context(messages)
    problem = row.get("group", row.get("instance_id"))
    return Rollout(
        group=by_opening(before, rows) if problem is None else key(problem, "group"),
        rollout=key(row["rollout"], "rollout") if "rollout" in row else UNNAMED if problem is None else run,
        outcome=number(row.get("outcome", info.get("resolved")), "outcome"),
        task=opening(messages),
        context=before,
        steps=steps,
        extra={"info": {k: v for k, v in info.items() if k != "config"}} if info else {},
    )


def _messages(given: list[Any]) -> list[dict[str, Any]]:
    """Messages in the shape of chat completions, with the answers that the agent could not read and left out."""
    out: list[Any] = []
    for message in given:
        extra = a_map(message.get("extra")) if isinstance(message, Mapping) else {}
        wrong = extra.get("interrupt_type") == "FormatError"
        if wrong:
            out += _unread(extra)
        code = extra.get("returncode")
        more: dict[str, Any] = {"is_error": code != 0} if wrong or isinstance(code, int) else {}
        if extra:
            more["extra"] = dict(extra)
        out += [{**one, **more} if isinstance(one, Mapping) else one for one in _shaped(message)]
    return out


def _printed(messages: list[dict[str, Any]], submission: Any) -> dict[str, Any]:
    """What the last command printed, as a message: the agent keeps it only as its submission."""
    calls = a_map(messages[-1]).get("tool_calls") if messages else None
    if not isinstance(calls, list) or not calls:
        return {"role": "user", "content": submission, "is_error": False}
    return {"role": "tool", "content": submission, "is_error": False, "tool_call_id": a_map(calls[-1]).get("id")}


def _shaped(message: Any) -> list[Any]:
    if not isinstance(message, Mapping):
        return [message]
    if message.get("object") == "response":
        return openai_responses.plain(a_list(message.get("output"), "output"))
    return openai_responses.plain([message]) if is_item(message) else [dict(m) for m in plain([message])]


def _unread(extra: Mapping[str, Any]) -> list[Any]:
    """The answer of the model that a message which complains of its form stands for."""
    response = a_map(extra.get("response"))
    kept = {k: v for k, v in extra.items() if k in ("response", "cost", "timestamp")}
    if response.get("object") == "response":
        return [{**m, "extra": kept} for m in openai_responses.plain(a_list(response.get("output"), "output"))]
    choices = response.get("choices")
    said = a_map(a_map(choices[0]).get("message")) if isinstance(choices, list) and choices else {}
    if not said and a_str(extra.get("model_response")):
        said = {"content": extra["model_response"]}
    return [{**said, "role": "assistant", "extra": kept}] if said else []


def _step(step: Step, message: Mapping[str, Any], model: str | None) -> Step:
    extra = a_map(message.get("extra"))
    response = a_map(extra.get("response"))
    if not step.tool_calls:
        given = extra.get("actions")
        found = [a_str(a_map(a).get("command")) for a in given] if isinstance(given, list) else []
        shell = _SHELL.findall(step.text or "") if given is None and len(step.text or "") < _LONGEST else []
        step.action = "\n".join(filter(None, found)) or (shell[0].strip() if len(shell) == 1 else None)
    usage = a_map(response.get("usage"))
    step.origin = origin(
        response=a_str(response.get("id")) or a_str(message.get("id")),
        model=a_str(response.get("model")) or model,
        input_tokens=whole(usage.get("prompt_tokens", usage.get("input_tokens"))),
        output_tokens=whole(usage.get("completion_tokens", usage.get("output_tokens"))),
        cost=real(extra.get("cost")),
        start=seconds(extra.get("timestamp", message.get("timestamp"))),
    )
    step.extra = {k: v for k, v in step.extra.items() if k.removeprefix("source.") not in _OURS and v is not None}
    return step
