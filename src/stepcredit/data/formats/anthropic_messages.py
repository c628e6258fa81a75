"""Conversations of Anthropic's Messages API: chats with content blocks, and logs of calls.

A row is one of
- a chat: {"system": ..., "messages": [...], "group": ..., "outcome": ...}: one rollout;
- a message: {"role": ..., "content": [...]}, or a response: {"type": "message", "role": "assistant", "content": [...]}:
  the rows of the file together are one rollout;
- a call: {"request": {"messages": [...]}, "response": {"type": "message", ...}}, in all the shapes that `openai_chat`
  reads, and put together to rollouts as there;
- a row of a session of Claude Code (its `projects/*/*.jsonl`): the rows of the file together are one rollout, and one
  more for each subagent in it and each branch (a prompt that goes on from an earlier place). Rows that are no messages
  are passed over; the system prompt is not known. An answer that is an error of the API is a step with that error;
- the result of a batch: {"custom_id": ..., "result": {"type": ..., "message": {...}}}: one rollout.

- step: one assistant message. text: its `text` blocks; reasoning: its `thinking` blocks; tool calls: its `tool_use`
  blocks (and `server_tool_use`, whose results stand in the same message: a part of the text, by their type in
  brackets). A `tool_result` is a reply by a tool, `is_error` its error; images are addresses, base64 ones as `data:`.
  `system` is context. Blocks of other kinds are their type in brackets.
- group, rollout, outcome, task, origin: as in `openai_chat`; the usage counts `cache_read_input_tokens` and
  `cache_creation_input_tokens` as sent.
- not known: states, rewards of steps, tokens. Signatures of thoughts and `cache_control` are left out.
Other fields of the row are kept. Written against the API as of anthropic-python 2.14 (version 2023-06-01).
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from stepcredit.data.formats import _chats
from stepcredit.data.formats._calls import ANTHROPIC, clock, dialect, failure, has_blocks, logged, whole_answer
from stepcredit.data.formats._chats import Answer, Chat, Exchange, Said, Sent
from stepcredit.data.formats._claude_code import conversations, is_session, slim
from stepcredit.data.formats._traces import a_map, a_str, named, origin, whole
from stepcredit.data.records import Origin, Rollout
from stepcredit.data.rows import Rows
from stepcredit.errors import DataError

FIELDS = ("system", *_chats.FIELDS)
_RESULTS = ("tool_result", "mcp_tool_result")
_CALLS = ("tool_use", "server_tool_use", "mcp_tool_use")


def fits(first: Mapping[str, Any], path: str) -> bool:
    """A chat or message with content blocks, a chat with `system`, or a logged call of this API."""
    return dialect(first) == ANTHROPIC


def rollouts(rows: Rows) -> Iterator[Rollout]:
    """One rollout a chat, a file of messages, or a conversation of a log."""
    return named(rows, _chats.made(rows, _read))


def _read(row: dict[str, Any]) -> Chat | Said | Exchange:
    if is_session(row):
        return Said([slim(row)], plain, conversations)
    whole_answer(row)
    halves = logged(row)
    if halves is not None:
        request, response, used = halves
        error = failure(row, response)
        answers = []
        if isinstance(response, Mapping) and response.get("content") is not None:
            message = {"role": "assistant", "content": response["content"]}
            answers = [Answer(plain([message]), _origin(request, response, clock(row, None)))]
        sent = _opened(request) + plain(_messages(request)) if request else []
        return Exchange(sent, answers, None, error, (*used, "system"))
    if "messages" not in row and isinstance(row.get("role"), str):
        return Said([_with_origin(row)], plain)
    return Chat(_opened(row) + plain(_messages(row)), ("messages", "system"))


def _with_origin(message: dict[str, Any]) -> dict[str, Any]:
    """A response with where it came from."""
    told = _origin({}, message, {}) if message.get("type") == "message" else None
    return message if told is None else {**message, "origin": told}


def _messages(given: Mapping[str, Any]) -> list[Any]:
    messages = given.get("messages")
    if isinstance(messages, list):
        return messages
    raise DataError("field 'messages' must hold a list of messages", got=messages, expected='[{"role": ...}, ...]')


def _opened(given: Mapping[str, Any]) -> list[Sent]:
    """The system prompt as a message."""
    system = given.get("system")
    return (
        [] if not system else [{"role": "system", "content": system if isinstance(system, str) else _content(system)}]
    )


def plain(messages: list[Any]) -> list[Any]:
    """Messages with content blocks in the shape of OpenAI's; others as they are.

    >>> plain([{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a", "content": "2"}]}])
    [{'role': 'tool', 'tool_call_id': 'a', 'content': '2'}]
    """
    out: list[Any] = []
    for message in messages:
        if isinstance(message, Mapping) and isinstance(message.get("role"), str) and has_blocks([message]):
            out.extend(_said(message) if message["role"] == "assistant" else _given(message))
        elif isinstance(message, Mapping) and message.get("type") == "message":
            out.append({k: v for k, v in message.items() if k not in _ENVELOPE})
        else:
            out.append(message)
    return out


_ENVELOPE = ("type", "model", "stop_reason", "stop_sequence", "usage", "container", "id", "stop_details", "diagnostics")


def _said(message: Mapping[str, Any]) -> list[Sent]:
    """An assistant message: thoughts, text and calls, each in their field."""
    thoughts, calls, kept = [], [], []
    for block in message["content"]:
        kind = block.get("type") if isinstance(block, Mapping) else None
        if kind == "thinking":
            thoughts.append(str(block.get("thinking") or ""))
        elif kind in _CALLS:
            calls.append({"id": block.get("id"), "name": block.get("name"), "arguments": block.get("input")})
        elif kind != "redacted_thinking":
            kept.append(block)
    out = {k: v for k, v in message.items() if k not in ("content", *_ENVELOPE)}
    out["content"] = _content(kept) if kept else None
    if thoughts:
        out["reasoning_content"] = "\n".join(thoughts)
    if calls:
        out["tool_calls"] = calls
    return [out]


def _given(message: Mapping[str, Any]) -> list[Sent]:
    """Another message: one for each result of a tool, and one for what was said besides."""
    out: list[Sent] = []
    kept = []
    for block in message["content"]:
        if isinstance(block, Mapping) and block.get("type") in _RESULTS:
            result = {
                "role": "tool",
                "tool_call_id": block.get("tool_use_id"),
                "content": _content(block.get("content")),
            }
            if isinstance(block.get("is_error"), bool):
                result["is_error"] = block["is_error"]
            out.append(result)
        else:
            kept.append(block)
    if kept or not out:
        out.append({**{k: v for k, v in message.items() if k != "content"}, "content": _content(kept)})
    return out


def _content(content: Any) -> Any:
    """Blocks with their images in OpenAI's shape."""
    if not isinstance(content, list):
        return content if content is None or isinstance(content, str) else json.dumps(content, ensure_ascii=False)
    return [
        _image(block) if isinstance(block, Mapping) and block.get("type") == "image" else block for block in content
    ]


def _image(block: Mapping[str, Any]) -> Mapping[str, Any]:
    source = a_map(block.get("source"))
    address = source.get("url")
    if isinstance(source.get("data"), str):
        address = f"data:{source.get('media_type')};base64,{source['data']}"
    return {"type": "image", "image_url": {"url": address if isinstance(address, str) else source.get("file_id")}}


def _origin(request: Mapping[str, Any], response: Mapping[str, Any], times: dict[str, Any]) -> Origin | None:
    usage = a_map(response.get("usage"))
    sent = [whole(usage.get(f"{kind}input_tokens")) for kind in ("", "cache_read_", "cache_creation_")]
    return origin(
        response=a_str(response.get("id")),
        model=a_str(response.get("model")) or a_str(request.get("model")),
        input_tokens=sum(n for n in sent if n) if sent[0] is not None else None,
        output_tokens=whole(usage.get("output_tokens")),
        **times,
    )
