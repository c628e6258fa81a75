"""Steps and messages as the page is told them: plain JSON, long texts cut, what was cut said with its length."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from stepcredit.data.records import Message, Rollout, Step, replies_of

LONGEST = 20_000
"""Characters of a text that a page of steps holds; the whole is fetched by its field."""

Cut = dict[str, int]
T = TypeVar("T")


def step_shown(step: Step, i: int, longest: int = LONGEST) -> dict[str, Any]:
    """One step of `/api/run/ID/steps`. cut: field -> length of the whole text; fields as `whole_text` takes them."""
    cut: Cut = {}
    replies = replies_of(step)
    joined = "\n".join(m.content for m in replies if m.content)
    seen = None if step.observation is None or step.observation == joined else str(step.observation)
    return {
        "i": i,
        "agent": None if step.agent is None else str(step.agent),
        "text": _short(step.text, "text", longest, cut),
        "reasoning": _short(step.reasoning, "reasoning", longest, cut),
        "images": _images(step.images, "images", longest, cut),
        "calls": [
            {"name": c.name, "arguments": _value(c.arguments, f"calls.{k}", longest, cut), "id": c.id}
            for k, c in enumerate(step.tool_calls)
        ],
        "replies": messages_shown(replies, "replies", longest, cut),
        "observation": _short(seen, "observation", longest, cut),
        "action": _short(None if step.action is None else str(step.action), "action", longest, cut),
        "reward": step.reward,
        "evidence": step.evidence,
        "origin": None if step.origin is None else msgspec.to_builtins(step.origin),
        "extra": {k: _value(v, f"extra.{k}", longest, cut) for k, v in step.extra.items()},
        "cut": cut,
    }


def messages_shown(messages: Sequence[Message], under: str, longest: int, cut: Cut) -> list[dict[str, Any]]:
    """Messages with every field, contents cut."""
    return [
        {
            "role": m.role,
            "content": _short(m.content, f"{under}.{k}", longest, cut),
            "name": m.name,
            "call": m.call,
            "error": m.error,
            "images": _images(m.images, f"{under}.{k}.images", longest, cut),
        }
        for k, m in enumerate(messages)
    ]


def rollout_shown(rollout: Rollout, longest: int = LONGEST) -> dict[str, Any]:
    """What `/api/run/ID` tells of a rollout itself: task, context, rewards, evidence, extra."""
    cut: Cut = {}
    return {
        "task": _short(rollout.task, "task", longest, cut),
        "rewards": rollout.rewards,
        "evidence": rollout.evidence,
        "extra": {k: _value(v, f"extra.{k}", longest, cut) for k, v in rollout.extra.items()},
        "context": messages_shown(rollout.context, "context", longest, cut),
        "cut": cut,
    }


def whole_text(of: Step | Rollout, field: str) -> str | None:
    """The whole text of a field that was cut; None: there is no such field.

    Fields: text, reasoning, observation, action, images.K, calls.K (the arguments), replies.K, replies.K.images.L,
    extra.NAME; of a rollout: task, context.K, context.K.images.L, extra.NAME.
    """
    name, _, rest = field.partition(".")
    if isinstance(of, Rollout):
        if name == "task":
            return of.task
        messages = of.context if name == "context" else None
    else:
        if name in ("text", "reasoning", "observation", "action") and not rest:
            value = getattr(of, name)
            return None if value is None else str(value)
        if name == "images":
            return _nth(of.images, rest)
        if name == "calls":
            call = _nth(of.tool_calls, rest)
            return None if call is None else _text(call.arguments)
        messages = replies_of(of) if name == "replies" else None
    if name == "extra":
        return _text(of.extra[rest]) if rest in of.extra else None
    if messages is None:
        return None
    number, _, image = rest.partition(".images.")
    message = _nth(messages, number)
    if message is None:
        return None
    return _nth(message.images, image) if image else message.content


def numbers(values: NDArray[Any] | Sequence[float | None], digits: int = 6) -> list[float | None]:
    """Numbers for JSON: rounded to significant digits; what is not judged, or not finite, is None.

    >>> numbers(np.array([0.12345678, np.nan, 1e9, 0.0]))
    [0.123457, None, 1000000000.0, 0.0]
    """
    return [float(f"{v:.{digits}g}") if math.isfinite(v) else None for v in np.asarray(values, float).tolist()]


def plain(value: Any) -> Any:
    """Any value as JSON can hold it; what JSON does not know is text, NaN is None."""
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int):
        return value if -(2**53) < value < 2**53 else str(value)
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(v) for v in value]
    return str(value)


def strings(value: Any) -> Iterator[str]:
    """The texts and numbers in a value, keys left out."""
    if isinstance(value, str | int | float):
        yield str(value)
    elif isinstance(value, Mapping):
        for one in value.values():
            yield from strings(one)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from strings(one)


def _short(text: str | None, field: str, longest: int, cut: Cut) -> str | None:
    if text is None or len(text) <= longest:
        return text
    cut[field] = len(text)
    return text[:longest]


def _images(images: Sequence[str], under: str, longest: int, cut: Cut) -> list[str]:
    """Addresses; one that is cut (a large `data:` one) is its beginning up to the data, which is no picture."""
    out = []
    for k, image in enumerate(images):
        if len(image) > longest:
            cut[f"{under}.{k}"] = len(image)
            image = image[:200].partition(",")[0] + ","
        out.append(image)
    return out


def _value(value: Any, field: str, longest: int, cut: Cut) -> Any:
    """A value that fits, or the beginning of its text."""
    if isinstance(value, str):
        return _short(value, field, longest, cut)
    if value is None or isinstance(value, bool | int | float):
        return plain(value)
    text = _text(value)
    return plain(value) if len(text) <= longest else _short(text, field, longest, cut)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(plain(value), ensure_ascii=False)


def _nth(values: Sequence[T], number: str) -> T | None:
    return values[int(number)] if number.isdecimal() and len(number) < 10 and int(number) < len(values) else None
