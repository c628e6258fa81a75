"""Messages of a chat as steps: one assistant message is one step; what follows, up to the next, is its observation.

The action of a step is its tool calls, as text with sorted arguments; a message without calls has none.
"""

import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any, NamedTuple

from stepcredit.data.formats._fields import need, rest, text
from stepcredit.data.records import Step, ToolCall
from stepcredit.errors import DataError

_USED = ("role", "content", "tool_calls", "function_call", "name")
_STEP_NAMES = Step.__struct_fields__


class Turn(NamedTuple):
    """at: where the assistant message stands. replies: the messages after it, up to the next one."""

    at: int
    step: Step
    replies: list[Mapping[str, Any]]


def turns(messages: object, name: str = "messages") -> list[Turn]:
    """The steps of a conversation.

    Raises:
        DataError: not a list of messages; content that is neither text, parts nor null.
    """
    if not isinstance(messages, list):
        raise DataError(f"field {name!r} must hold a list of messages", got=messages, expected='[{"role": ...}, ...]')
    found: list[Turn] = []
    for i, message in enumerate(messages):
        if not isinstance(message, Mapping) or not isinstance(message.get("role"), str):
            raise DataError(f"message {i} must be an object with a role", got=message, expected='{"role": ...}')
        if message["role"] == "assistant":
            found.append(Turn(i, _step(message, i), []))
        elif found:
            found[-1].replies.append(message)
    for turn in found:
        if turn.replies:
            turn.step.observation = "\n".join(words(r.get("content")) or "" for r in turn.replies)
    return found


def opening(messages: object) -> str | None:
    """Text of the first message by a user."""
    for message in messages if isinstance(messages, list) else ():
        if isinstance(message, Mapping) and message.get("role") == "user":
            return words(message.get("content"))
    return None


def words(content: object) -> str | None:
    """Text of a message's content: text, parts (one that is no text becomes its type in brackets), or null."""
    if content is None or isinstance(content, str):
        return content
    if isinstance(content, list):
        return "".join(map(_part, content))
    raise DataError("the content of a message must be text, parts or null", got=content, expected="text")


def calls(message: Mapping[str, Any]) -> list[ToolCall]:
    """Tool calls of a message, in both shapes that are in use: {"function": {"name", ...}} and {"name", ...}."""
    given = message.get("tool_calls")
    if given is None:
        old = message.get("function_call")
        given = [] if old is None else [old]
    if not isinstance(given, list):
        raise DataError("tool_calls must be a list", got=given, expected="[{...}, ...]")
    out = []
    for call in given:
        function = call.get("function", call) if isinstance(call, Mapping) else None
        if not isinstance(function, Mapping) or not isinstance(call, Mapping):
            raise DataError("a tool call must be an object", got=call, expected='{"function": {"name": ...}}')
        out.append(
            ToolCall(
                name=need(function, "name", str), arguments=function.get("arguments"), id=text(call.get("id"), "id")
            )
        )
    return out


def plain_call(call: ToolCall) -> list[Any]:
    """Name and arguments of a call; arguments given as text are read."""
    arguments = call.arguments
    if isinstance(arguments, str):
        with suppress(ValueError):
            arguments = json.loads(arguments)
    return [call.name, arguments]


def as_text(value: list[Any]) -> str:
    """Calls (or names) as one text that is equal where they are: JSON with sorted keys."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True)


def _step(message: Mapping[str, Any], index: int) -> Step:
    try:
        made = calls(message)
        return Step(
            agent=text(message.get("name"), "name"),
            text=words(message.get("content")),
            action=as_text([plain_call(c) for c in made]) if made else None,
            tool_calls=made,
            extra=rest(message, _USED, _STEP_NAMES),
        )
    except DataError as error:
        raise DataError(f"message {index}: {error.what}", got=error.got, expected=error.expected) from None


def _part(part: object) -> str:
    if isinstance(part, str):
        return part
    if isinstance(part, Mapping):
        inner = part.get("text")
        return inner if isinstance(inner, str) else f"[{part.get('type', 'part')}]"
    raise DataError("a part of a message must be an object", got=part, expected='{"type": "text", "text": ...}')


def texts(replies: Iterable[Mapping[str, Any]], role: str) -> list[tuple[Mapping[str, Any], str]]:
    """Replies of this role with their text."""
    return [(r, words(r.get("content")) or "") for r in replies if r["role"] == role]
