"""Logs of OpenAI's Responses API: calls, responses, and conversations as items.

A row is one of
- a call: {"request": {"input": ..., "instructions": ...}, "response": {"output": [...]}}, in all the shapes that
  `openai_chat` reads, and put together to rollouts as there, or by `previous_response_id`;
- a response: {"object": "response", "output": [...]}, with the `input` it was given where the logger kept it;
- a conversation: {"input": [items], "output": [items]};
- an item: {"type": "message" | "function_call" | ..., ...}: the rows of the file together are one rollout.

- step: what the model put out in a row: reasoning (its summary, or its text where that is given), messages and calls
  are one step until something comes in. Calls of built-in tools (`web_search_call`, `file_search_call`,
  `computer_call`, `code_interpreter_call`, `local_shell_call`, `image_generation_call`, `mcp_call`) are tool calls of
  that name without `_call`; what they hold of a result (outputs, `error`) is a reply, and what comes after it a new
  step. `function_call_output` and its like are replies by tools; a screenshot is an image. `instructions` are context.
- group, rollout, outcome, task: as in `openai_chat`. origin: id, model, time, tokens of the response at its first step.
- not known: states, rewards of steps. Ids of items and encrypted reasoning are left out; items of kinds that are not
  listed above are read as text: their type in brackets.
Other fields of the row are kept. Written against the API as of openai-python 3.57.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from stepcredit.data.formats import _chats
from stepcredit.data.formats._calls import RESPONSES, clock, dialect, failure, is_item, logged, whole_answer
from stepcredit.data.formats._chats import Answer, Chat, Exchange, Said, Sent
from stepcredit.data.formats._traces import a_map, a_str, named, origin, whole
from stepcredit.data.records import Origin, Rollout
from stepcredit.data.rows import Rows
from stepcredit.errors import DataError

FIELDS = ("input", "output", "instructions", *_chats.FIELDS)
_ARGUMENTS = ("arguments", "input", "action", "queries", "code")
_NAMED = ("function_call", "custom_tool_call", "mcp_call")
_RESULTS = ("outputs", "results", "output", "error")


def fits(first: Mapping[str, Any], path: str) -> bool:
    """A logged call of this API, a response, a conversation as items, or an item."""
    return dialect(first) == RESPONSES


def rollouts(rows: Rows) -> Iterator[Rollout]:
    """One rollout a conversation of a log, or a file of items."""
    return named(rows, _chats.made(rows, _read))


def _read(row: dict[str, Any]) -> Chat | Said | Exchange:
    whole_answer(row)
    halves = logged(row)
    if halves is not None:
        return _exchange(row, *halves)
    if row.get("object") == "response":
        return _exchange(row, row, row, ("input", "output", "instructions", "object"))
    if is_item(row):
        return Said([row], plain)
    if "output" in row:
        items = [*_opened(row), *_input(row.get("input")), *_items(row.get("output"), "output")]
        return Chat(plain(items), ("input", "output", "instructions"))
    raise DataError(
        "the row is neither a call, a response nor an item of the Responses API",
        got=f"fields {', '.join(map(str, row))}",
        expected='{"output": [...]}',
    )


def _exchange(row: dict[str, Any], request: Mapping[str, Any], response: Any, used: tuple[str, ...]) -> Exchange:
    answers = []
    error = failure(row, response)
    if isinstance(response, Mapping) and response.get("output"):
        said = plain(_items(response["output"], "output"))
        answers = [Answer(said, _origin(row, request, response))]
    elif response is not None and not isinstance(response, Mapping) and not error:
        raise DataError("the response must be an object", got=response, expected='{"output": [...]}')
    sent = plain([*_opened(request), *_input(request.get("input"))])
    return Exchange(sent, answers, a_str(request.get("previous_response_id")), error, used)


def _opened(given: Mapping[str, Any]) -> list[Any]:
    instructions = given.get("instructions")
    if isinstance(instructions, list):
        return instructions
    return [{"role": "system", "content": instructions}] if isinstance(instructions, str) and instructions else []


def _input(value: object) -> list[Any]:
    return [{"role": "user", "content": value}] if isinstance(value, str) else _items(value, "input")


def _items(value: object, name: str) -> list[Any]:
    if value is None:
        return []
    if isinstance(value, list):
        return value
    raise DataError(f"field {name!r} must be a list of items", got=value, expected='[{"type": ...}, ...]')


def plain(items: list[Any]) -> list[Any]:
    """Items as messages in the shape of chat completions: what the model put out in a row is one message.

    >>> plain([{"type": "function_call", "call_id": "a", "name": "add", "arguments": "{}"}])[0]["tool_calls"]
    [{'id': 'a', 'name': 'add', 'arguments': '{}'}]
    """
    out: list[Any] = []
    open_message: dict[str, Any] | None = None
    for i, item in enumerate(items):
        if not isinstance(item, Mapping):
            raise DataError(f"item {i} must be an object", got=item, expected='{"type": ...}')
        result = None
        if _by_model(item):
            if open_message is None:
                open_message = {"role": "assistant", "content": None}
                out.append(open_message)
            result = _put(open_message, item)
        if result is not None or not _by_model(item):
            out.append(result or _given(item))
            open_message = None
    return out


def _by_model(item: Mapping[str, Any]) -> bool:
    kind = item.get("type", "message")
    if kind == "message":
        return item.get("role") == "assistant"
    return isinstance(kind, str) and (kind == "reasoning" or kind.endswith("_call"))


def _put(message: dict[str, Any], item: Mapping[str, Any]) -> Sent | None:
    """An item of the model into its message; the result of a tool that it holds."""
    kind = item.get("type", "message")
    if kind == "reasoning":
        thought = _text(item.get("content")) or _text(item.get("summary"))
        if thought:
            message["reasoning_content"] = "\n".join(filter(None, (message.get("reasoning_content"), thought)))
        return None
    if kind == "message":
        said = _content(item.get("content"))
        message["content"] = said if message["content"] is None else _joined(message["content"], said)
        return None
    name = item.get("name") if kind in _NAMED else a_str(item.get("name")) or str(kind).removesuffix("_call")
    asked = next((item[f] for f in _ARGUMENTS if item.get(f) is not None), None)
    number = a_str(item.get("call_id")) or a_str(item.get("id"))
    message.setdefault("tool_calls", []).append({"id": number, "name": name, "arguments": asked})
    found = next((item[f] for f in _RESULTS if item.get(f)), None)
    if found is None:
        return None
    reply = {"role": "tool", "name": name, "tool_call_id": number, "content": _output(found)}
    return {**reply, "is_error": True} if item.get("error") or item.get("status") == "failed" else reply


def _given(item: Mapping[str, Any]) -> Sent:
    """An item that the model did not put out."""
    kind = item.get("type", "message")
    if kind == "message":
        return {"role": item.get("role"), "content": _content(item.get("content"))}
    if isinstance(kind, str) and kind.endswith("_output"):
        reply = {"role": "tool", "tool_call_id": a_str(item.get("call_id")), "content": _output(item.get("output"))}
        return {**reply, "is_error": True} if item.get("status") == "failed" or item.get("error") else reply
    return {"role": "system", "content": f"[{kind}]"}


def _output(value: Any) -> Any:
    """What a tool gave back: text, parts or a screenshot; else as JSON."""
    if isinstance(value, Mapping) and "image_url" in value:
        return _content([value])
    if isinstance(value, list) and all(isinstance(p, Mapping) and "type" in p for p in value):
        return _content(value)
    return value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _content(content: Any) -> Any:
    """Parts of a message with their text where chat completions have it."""
    if not isinstance(content, list):
        return content
    out: list[Any] = []
    for part in content:
        if isinstance(part, Mapping) and isinstance(part.get("refusal"), str):
            out.append({"type": "text", "text": part["refusal"]})
        elif isinstance(part, Mapping) and isinstance(part.get("logs"), str):
            out.append({"type": "text", "text": part["logs"]})
        else:
            out.append(part)
    texts = [t for p in out if isinstance(p, Mapping) and isinstance(t := p.get("text"), str)]
    return "".join(texts) if len(texts) == len(out) else out


def _joined(first: Any, second: Any) -> Any:
    if isinstance(first, str) and isinstance(second, str):
        return f"{first}\n{second}"
    parts = [[{"type": "text", "text": c}] if isinstance(c, str) else c or [] for c in (first, second)]
    return [*parts[0], *parts[1]]


def _text(parts: object) -> str:
    found = (a_map(p).get("text") for p in (parts if isinstance(parts, list) else ()))
    return "\n".join(t for t in found if isinstance(t, str))


def _origin(row: Mapping[str, Any], request: Mapping[str, Any], response: Mapping[str, Any]) -> Origin | None:
    usage = a_map(response.get("usage"))
    return origin(
        response=a_str(response.get("id")),
        model=a_str(response.get("model")) or a_str(request.get("model")) or a_str(row.get("model")),
        input_tokens=whole(usage.get("input_tokens")),
        output_tokens=whole(usage.get("output_tokens")),
        **clock(row, response.get("created_at")),
    )
