"""Chats in the OpenAI format: which messages were sampled, and what the environment answered."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from stepcredit.data.layout import Ints
from stepcredit.errors import DataError

Message = Mapping[str, Any]
_ROLES = ("system", "developer", "user", "assistant", "tool", "function")


class Turns(NamedTuple):
    """Steps in messages."""

    message: Ints
    """[n] index of the assistant message in which each step lies, in order."""
    call: Ints
    """[n] index of the tool call in that message; -1: the step is the whole message. Call 0 holds the content too."""
    observations: list[list[int]]
    """[n] indices of the messages with which the environment answered each step, in order. Every message after the
    first sampled one is either sampled or stands here exactly once."""


def as_turns(message: Iterable[int], call: Iterable[int], observations: list[list[int]]) -> Turns:
    return Turns(np.array(list(message), dtype=np.int64), np.array(list(call), dtype=np.int64), observations)


def role(messages: Sequence[Message], index: int) -> str:
    """The role of a message, or DataError if the format knows no such role."""
    name = messages[index].get("role")
    if not isinstance(name, str) or name not in _ROLES:
        raise DataError(f"message {index}: unknown role", got=name, expected=f"one of {', '.join(_ROLES)}")
    return name


def calls(messages: Sequence[Message], index: int) -> list[Mapping[str, Any]]:
    """The tool calls of an assistant message; the older `function_call` is a call without id."""
    found = messages[index].get("tool_calls")
    if not found:
        legacy = messages[index].get("function_call")
        return [legacy] if legacy else []
    if not isinstance(found, Sequence) or not all(isinstance(call, Mapping) for call in found):
        raise DataError(f"message {index}: tool_calls", got=found, expected="a list of objects")
    return list(found)


def content_text(message: Message) -> str:
    """The text of a message: its content, "" for None, or the text of its parts put together.

    Parts that hold no text, such as images, add nothing. Raises DataError for content of another kind.

    >>> content_text({"role": "user", "content": [{"type": "text", "text": "Is this "}, {"type": "image_url"}]})
    'Is this '
    """
    content = message.get("content")
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if isinstance(content, Sequence) and all(isinstance(part, str | Mapping) for part in content):
        return "".join(part if isinstance(part, str) else part.get("text") or "" for part in content)
    raise DataError("content", got=content, expected="a string, a list of parts, or null")
