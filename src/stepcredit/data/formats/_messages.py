"""Messages of a chat as steps: one assistant message is one step; what follows, up to the next, are its replies, and
their text is its observation. What stands before the first one is the context.

The action of a step is its tool calls, as text with sorted arguments; a message without calls has none.
"""

import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from itertools import takewhile
from typing import Any, NamedTuple

from msgspec import structs

from stepcredit.data.formats._fields import need, rest, text
from stepcredit.data.records import Message, Step, ToolCall
from stepcredit.errors import DataError

_THOUGHT = ("reasoning_content", "reasoning")
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
            turn.step.replies = [message_of(r) for r in turn.replies]
            observe(turn.step)
    return found


def observe(step: Step) -> None:
    """The text of the replies as the observation; of a sole reply it is kept once."""
    step.observation = "\n".join(r.content or "" for r in step.replies)
    if len(step.replies) == 1 and step.replies[0].content is not None:
        step.replies = [structs.replace(step.replies[0], content=None)]


def context(messages: object) -> list[Message]:
    """The messages before the first one of the assistant."""
    given = messages if isinstance(messages, list) else []
    return [message_of(m) for m in takewhile(lambda m: m.get("role") != "assistant", given)]


def message_of(message: Mapping[str, Any]) -> Message:
    """A message that the policy did not write, as a record."""
    status = message.get("is_error", message.get("error"))
    return Message(
        role=message["role"],
        content=words(message.get("content")),
        name=text(message.get("name"), "name"),
        call=text(message.get("tool_call_id"), "tool_call_id"),
        error=status if isinstance(status, bool) else True if status else None,
        images=images(message.get("content")),
    )


def images(content: object) -> list[str]:
    """Addresses of the images among the parts of a content."""
    found = []
    for part in content if isinstance(content, list) else ():
        given = part.get("image_url") if isinstance(part, Mapping) else None
        address = given.get("url") if isinstance(given, Mapping) else given
        if isinstance(address, str):
            found.append(address)
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
    thought = _thought(message)
    try:
        made = calls(message)
        return Step(
            agent=text(message.get("name"), "name"),
            text=words(message.get("content")),
            reasoning=message[thought] if thought else None,
            images=images(message.get("content")),
            action=as_text([plain_call(c) for c in made]) if made else None,
            tool_calls=made,
            extra=rest(message, (*_USED, thought), _STEP_NAMES),
        )
    except DataError as error:
        raise DataError(f"message {index}: {error.what}", got=error.got, expected=error.expected) from None


def _thought(message: Mapping[str, Any]) -> str | None:
    """The field of thoughts that servers keep apart: `reasoning_content` (vLLM, DeepSeek) or `reasoning`."""
    return next((f for f in _THOUGHT if isinstance(message.get(f), str)), None)


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
