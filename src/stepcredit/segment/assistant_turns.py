"""One assistant message, one step."""

from collections.abc import Sequence

from stepcredit.segment._messages import Message, Turns, as_turns, role


def assistant_turns(messages: Sequence[Message], *, start: int = 0) -> Turns:
    """Each assistant message is a step; the messages up to the next one are what the environment answered.

    Assistant messages in a row are separate steps, the first with no observation. An empty one (content None, no tool
    calls) is a step too: it was sampled. Messages before the first step are the prompt and belong to nothing.

    Args:
        messages: a chat in the OpenAI format. Only the role "assistant" is sampled; system, developer, user, tool and
            function messages are the environment's.
        start: messages before this index are prompt, whatever their role: examples in it were not sampled.

    Raises DataError for any other role.

    >>> chat = [{"role": r} for r in ("system", "user", "assistant", "tool", "assistant", "assistant", "user")]
    >>> turns = assistant_turns(chat)
    >>> turns.message.tolist(), turns.observations
    ([2, 4, 5], [[3], [], [6]])
    """
    sampled: list[int] = []
    observations: list[list[int]] = []
    for index in range(start, len(messages)):
        if role(messages, index) == "assistant":
            sampled.append(index)
            observations.append([])
        elif observations:
            observations[-1].append(index)
    return as_turns(sampled, [-1] * len(sampled), observations)
