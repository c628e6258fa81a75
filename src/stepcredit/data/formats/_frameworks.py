"""Messages as agent frameworks write them, in the shape of chat completions.

Known are those of LangChain and LangGraph (`messages_to_dict`, `dumpd`, `model_dump`), pydantic-ai
(`all_messages_json`), AutoGen (messages and events of a team) and smolagents (steps of a memory, and its messages).
"""

import json
from collections.abc import Mapping
from typing import Any

from stepcredit.data.formats._fields import literal
from stepcredit.data.formats._traces import a_map, a_str, origin, real, seconds, whole
from stepcredit.errors import DataError

Given = Mapping[str, Any]
_LANGCHAIN = {
    "human": "user",
    "ai": "assistant",
    "AIMessageChunk": "assistant",
    "system": "system",
    "tool": "tool",
    "function": "function",
    "chat": "user",
}
_SILENT = ("ModelClientStreamingChunkEvent", "UserInputRequestedEvent", "ToolCallSummaryMessage", "SelectSpeakerEvent")
_THOUGHTS = ("thinking", "reasoning")
_CALLING = "Calling tools:"


def framework(value: object) -> bool:
    """Is this a message of a framework? Never raises."""
    if not isinstance(value, Mapping) or isinstance(value.get("role"), str):
        return isinstance(value, Mapping) and value["role"] in ("tool-call", "tool-response")
    return _langchain(value) is not None or _is_part(value) or _is_event(value) or _is_step(value)


def held(row: Given) -> list[Any] | None:
    """The messages of a row that is a run of smolagents (`RunResult`), or of a chat of a framework; None: it is not."""
    for name in ("messages", "steps"):
        given = row.get(name)
        if isinstance(given, list) and given and framework(given[0]):
            return given
    return None


def shaped(messages: list[Any]) -> list[Any]:
    """Messages with those of frameworks in the shape of chat completions; others as they are."""
    out: list[Any] = []
    thought: str | None = None
    for message in messages:
        if not framework(message):
            out.append(message)
        elif message.get("role") == "tool-call":
            _call_in_words(message, out)
        elif message.get("role") == "tool-response":
            out.append({**message, "role": "tool"})
        elif (inner := _langchain(message)) is not None:
            out.append(_of_langchain(inner))
        elif _is_part(message):
            out += _of_pydantic_ai(message)
        elif _is_event(message):
            if message["type"] == "ThoughtEvent":
                thought = str(message.get("content") or "")
                continue
            out += _of_autogen(message, thought)
            thought = None
        else:
            out += _of_smolagents(message)
    return [
        {k: v for k, v in m.items() if v is not None or k != "origin"} if isinstance(m, Mapping) else m for m in out
    ]


def _langchain(value: Given) -> Given | None:
    """What a message of LangChain holds, with its type."""
    kind, data = value.get("type"), value.get("data")
    if kind == "constructor" and isinstance(value.get("kwargs"), Mapping) and "lc" in value:
        inner, names = value["kwargs"], value.get("id")
        name = str(names[-1]) if isinstance(names, list) and names else ""
        kind = inner.get("type") or name.removesuffix("Chunk").removesuffix("Message").lower()
        return {**inner, "type": kind} if isinstance(kind, str) and kind in _LANGCHAIN and "content" in inner else None
    if not isinstance(kind, str) or kind not in _LANGCHAIN:
        return None
    if isinstance(data, Mapping) and "content" in data:
        return {**data, "type": kind}
    return value if "content" in value and "additional_kwargs" in value else None


def _of_langchain(message: Given) -> dict[str, Any]:
    role = _LANGCHAIN[message["type"]]
    if message["type"] == "chat":
        role = a_str(message.get("role")) or role
    out: dict[str, Any] = {"role": role, "content": message["content"], "name": a_str(message.get("name"))}
    if role == "tool":
        out["tool_call_id"] = a_str(message.get("tool_call_id"))
        if message.get("status") in ("success", "error"):
            out["is_error"] = message["status"] == "error"
    if role != "assistant":
        return out
    blocks = message["content"] if isinstance(message["content"], list) else []
    thoughts = [t for b in blocks for n in _THOUGHTS if isinstance(t := a_map(b).get(n), str)]
    thoughts += [t] if (t := a_str(a_map(message.get("additional_kwargs")).get("reasoning_content"))) else []
    if blocks:
        calls = ("tool_use", "tool_call", "function_call", "redacted_thinking", *_THOUGHTS)
        out["content"] = [b for b in blocks if a_map(b).get("type") not in calls]
    asked = [c for n in ("tool_calls", "invalid_tool_calls") for c in _maps(message.get(n), "calls of tools")]
    if asked:
        out["tool_calls"] = [{"id": c.get("id"), "name": c.get("name"), "arguments": c.get("args")} for c in asked]
    if thoughts:
        out["reasoning_content"] = "\n".join(thoughts)
    usage, told = a_map(message.get("usage_metadata")), a_map(message.get("response_metadata"))
    return out | {
        "origin": origin(
            response=a_str(told.get("id")),
            model=a_str(told.get("model_name")) or a_str(told.get("model")),
            input_tokens=whole(usage.get("input_tokens")),
            output_tokens=whole(usage.get("output_tokens")),
        )
    }


def _is_part(value: Given) -> bool:
    parts = value.get("parts")
    if value.get("kind") not in ("request", "response") or not isinstance(parts, list):
        return False
    return all(isinstance(p, Mapping) and isinstance(p.get("part_kind"), str) for p in parts)


def _of_pydantic_ai(message: Given) -> list[Any]:
    if message["kind"] == "response":
        return _answer_of_pydantic_ai(message)
    told = a_str(message.get("instructions"))
    out: list[Any] = [{"role": "system", "content": told}] if told else []
    for part in message["parts"]:
        kind, content = part["part_kind"], part.get("content")
        said = content if content is None or isinstance(content, str) else _plain(content)
        if kind == "tool-return" or (kind == "retry-prompt" and part.get("tool_name")):
            failed = kind == "retry-prompt" or part.get("outcome") in ("failed", "denied", "retried")
            out.append({"role": "tool", "name": a_str(part.get("tool_name")), "content": said, "is_error": failed})
            out[-1]["tool_call_id"] = a_str(part.get("tool_call_id"))
        else:
            out.append({"role": "system" if kind == "system-prompt" else "user", "content": said})
    return out


def _answer_of_pydantic_ai(message: Given) -> list[Any]:
    by_kind: dict[str, list[Any]] = {}
    for part in message["parts"]:
        by_kind.setdefault(part["part_kind"], []).append(part)
    calls = by_kind.get("tool-call", []) + by_kind.get("builtin-tool-call", [])
    usage = a_map(message.get("usage"))
    out: dict[str, Any] = {
        "role": "assistant",
        "content": "".join(str(p.get("content") or "") for p in by_kind.get("text", [])) or None,
        "origin": origin(
            response=a_str(message.get("provider_response_id")) or a_str(message.get("vendor_id")),
            model=a_str(message.get("model_name")),
            start=seconds(message.get("timestamp")),
            input_tokens=whole(usage.get("input_tokens", usage.get("request_tokens"))),
            output_tokens=whole(usage.get("output_tokens", usage.get("response_tokens"))),
        ),
    }
    if by_kind.get("thinking"):
        out["reasoning_content"] = "\n".join(str(p.get("content") or "") for p in by_kind["thinking"])
    if calls:
        out["tool_calls"] = [
            {"id": p.get("tool_call_id"), "name": p.get("tool_name"), "arguments": p.get("args")} for p in calls
        ]
    results = by_kind.get("builtin-tool-return", [])
    return [
        out,
        *({"role": "tool", "name": a_str(p.get("tool_name")), "content": _plain(p.get("content"))} for p in results),
    ]


def _is_event(value: Given) -> bool:
    return isinstance(value.get("source"), str) and isinstance(value.get("type"), str) and "models_usage" in value


def _of_autogen(message: Given, thought: str | None) -> list[Any]:
    kind, content, source = message["type"], message.get("content"), message["source"]
    if kind in _SILENT:
        return []
    if kind == "ToolCallExecutionEvent":
        return [
            {
                "role": "tool",
                "name": a_str(r.get("name")),
                "content": r.get("content"),
                "tool_call_id": a_str(r.get("call_id")),
                "is_error": r.get("is_error"),
            }
            for r in _maps(content, "results of tools")
        ]
    if kind != "ToolCallRequestEvent" and source.lower().startswith("user"):
        return [{"role": "user", "content": content if isinstance(content, str) else _plain(content)}]
    usage = a_map(message.get("models_usage"))
    out: dict[str, Any] = {
        "role": "assistant",
        "name": source,
        "origin": origin(
            id=a_str(message.get("id")),
            start=seconds(message.get("created_at")),
            input_tokens=whole(usage.get("prompt_tokens")),
            output_tokens=whole(usage.get("completion_tokens")),
        ),
    }
    if kind == "ToolCallRequestEvent":
        out |= {"content": None, "tool_calls": _maps(content, "calls of tools")}
    else:
        out["content"] = content if isinstance(content, str) else _plain(content)
    return [out | ({"reasoning_content": thought} if thought else {})]


def _is_step(value: Given) -> bool:
    if "task_images" in value or value.keys() == {"system_prompt"}:
        return True
    return ("step_number" in value and "observations" in value) or ("plan" in value and "model_output_message" in value)


def _of_smolagents(step: Given) -> list[Any]:
    if "step_number" not in step and "plan" not in step:
        role, field = ("system", "system_prompt") if "system_prompt" in step else ("user", "task")
        return [{"role": role, "content": step.get(field)}]
    usage, timing = a_map(step.get("token_usage")), a_map(step.get("timing"))
    calls = _maps(step.get("tool_calls"), "calls of tools")
    if not calls:  # where a tool failed, they stand in the answer alone
        calls = _maps(a_map(step.get("model_output_message")).get("tool_calls"), "calls of tools")
    said = step.get("plan") if "plan" in step else step.get("model_output")
    out: list[Any] = [
        {
            "role": "assistant",
            "content": said if said is None or isinstance(said, str) else _plain(said),
            "origin": origin(
                start=real(timing.get("start_time")),
                seconds=real(timing.get("duration")),
                input_tokens=whole(usage.get("input_tokens")),
                output_tokens=whole(usage.get("output_tokens")),
            ),
        }
    ]
    if calls:
        out[0]["tool_calls"] = calls
    wrong = a_map(step.get("error"))
    seen = [t for t in (a_str(step.get("observations")), a_str(wrong.get("message"))) if t]
    if seen or step.get("is_final_answer"):
        told = "\n".join(seen) if seen else _plain(step.get("action_output"))
        reply = {"role": "tool" if calls else "user", "content": told, "is_error": bool(wrong)}
        out.append(reply | ({"tool_call_id": a_str(calls[0].get("id"))} if len(calls) == 1 else {}))
    return out


def _call_in_words(message: Given, out: list[Any]) -> None:
    """The message in which smolagents repeats the calls of an answer, which may itself be left out."""
    content = message.get("content")
    parts = content if isinstance(content, list) else [{"text": content}]
    told = "".join(t for p in parts if isinstance(t := a_map(p).get("text"), str))
    calls = literal(told.partition(_CALLING)[2].strip() or "[]", "tool-call")
    if not out or a_map(out[-1]).get("role") != "assistant" or out[-1].get("tool_calls"):
        out.append({"role": "assistant", "content": None})
    out[-1] = {**out[-1], "tool_calls": _maps(calls, "calls of tools")}


def _maps(value: object, what: str) -> list[Any]:
    if value is None:
        return []
    if isinstance(value, list) and all(isinstance(v, Mapping) for v in value):
        return value
    raise DataError(f"{what} must be a list of objects", got=value, expected="[{...}, ...]")


def _plain(value: object) -> str | None:
    """Text of parts, an image as its address; else JSON."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, list) and value and all(isinstance(p, str) or a_str(a_map(p).get("url")) for p in value):
        return "\n".join(p if isinstance(p, str) else f"[{p['url']}]" for p in value)
    return json.dumps(value, ensure_ascii=False)
