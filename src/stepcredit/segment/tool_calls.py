"""One tool call, one step."""

from collections.abc import Mapping, Sequence
from typing import Any

from stepcredit.errors import DataError
from stepcredit.segment._messages import Message, Turns, as_turns, calls, role


def tool_calls(messages: Sequence[Message], *, start: int = 0) -> Turns:
    """Each tool call of an assistant message is a step; content before the calls belongs to the first call's step.

    An assistant message without tool calls is one step, with call -1. The answers:

    - a tool message belongs to the call whose id it names: of its own turn, else of the latest earlier turn with that
      id, for answers that come late (ids may return in later turns, as some servers count from 0 in each);
    - a tool or function message without an id belongs to the first call of its turn that has no answer yet, else to
      the last;
    - every other message up to the next assistant message belongs to the last step.

    Args:
        messages: a chat in the OpenAI format, sampled and not as in `assistant_turns`.
        start: messages before this index are prompt, whatever their role.

    Raises DataError for an unknown role, an answer to an id that no call has, and two calls of one message with one id.

    >>> turns = tool_calls([
    ...     {"role": "assistant", "content": "Two at once.", "tool_calls": [{"id": "a"}, {"id": "b"}]},
    ...     {"role": "tool", "tool_call_id": "b"},
    ...     {"role": "tool", "tool_call_id": "a"},
    ...     {"role": "assistant", "content": "Done."},
    ... ])
    >>> turns.message.tolist(), turns.call.tolist(), turns.observations
    ([0, 0, 3], [0, 1, -1], [[2], [1], []])
    """
    sampled: list[int] = []
    call: list[int] = []
    observations: list[list[int]] = []
    owner: dict[str, int] = {}
    turn = 0
    for index in range(start, len(messages)):
        name = role(messages, index)
        if name == "assistant":
            turn = len(sampled)
            made = calls(messages, index)
            owner |= _owners(made, turn, index)
            sampled += [index] * max(len(made), 1)
            call += range(len(made)) if made else [-1]
            observations += [[] for _ in range(max(len(made), 1))]
        elif sampled:
            answer = name in ("tool", "function")
            observations[_answered(messages[index], index, owner, observations, turn) if answer else -1].append(index)
    return as_turns(sampled, call, observations)


def _owners(made: Sequence[Mapping[str, Any]], turn: int, index: int) -> dict[str, int]:
    """The step of each call id; calls without one (missing or empty) have no entry."""
    owners: dict[str, int] = {}
    for step, call in enumerate(made, start=turn):
        name = call.get("id")
        if name and name in owners:
            raise DataError(f"message {index}: two tool calls with one id", got=name, expected="an id for each call")
        if name:
            owners[name] = step
    return owners


def _answered(message: Message, index: int, owner: dict[str, int], observations: list[list[int]], turn: int) -> int:
    name = message.get("tool_call_id")
    if name and name in owner:
        return owner[name]
    if name:
        raise DataError(
            f"message {index}: tool_call_id names no tool call before it",
            got=name,
            expected=f"one of {', '.join(map(repr, owner))}" if owner else "no id, since no call has one",
        )
    waiting = (step for step in range(turn, len(observations)) if not observations[step])
    return next(waiting, len(observations) - 1)
