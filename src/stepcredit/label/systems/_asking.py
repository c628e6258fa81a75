"""Questions to judges, read strictly: what cannot be read is asked again so often as allowed, and is then no answer."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from stepcredit.data.layout import Floats
from stepcredit.errors import StepCreditError
from stepcredit.evidence._prompts import Part, Unreadable, shown
from stepcredit.label.work import Work
from stepcredit.llm.requests import Failed, Plan, side_by_side

T = TypeVar("T")
NAN = float("nan")


def asked(
    work: Work, prompts: Sequence[str], read: Callable[[str], T], *, retries: int = 0, draw: int = 0, to: str = "judge"
) -> Plan[list[T | Failed]]:
    """What each reply says, `Failed` where there is none that can be read after `retries` more tries.

    Args:
        draw: tells apart votes on one prompt.

    Raises:
        StepCreditError: retries < 0.
    """
    if retries < 0:
        raise StepCreditError(f"retries must be at least 0; got {retries}")
    found: list[T | Failed] = [Failed("nobody was asked")] * len(prompts)
    left = list(range(len(prompts)))
    for attempt in range(retries + 1):
        if not left:
            break
        replies = yield from work.ask([prompts[i] for i in left], draw=draw + _FAR * attempt, to=to)
        for i, reply in zip(left, replies, strict=True):
            found[i] = _read(reply, read)
        left = [i for i in left if isinstance(found[i], Failed)]
    return found


_FAR = 10_000  # a vote's second try is no other vote's first


def _read(reply: Any, read: Callable[[str], T]) -> T | Failed:
    if isinstance(reply, Failed):
        return reply
    try:
        return read(reply)
    except Unreadable as error:
        return Failed(str(error))


def votes(work: Work, prompt: str, read: Callable[[str], T], n: int, *, retries: int = 0) -> Plan[list[T | Failed]]:
    """n independent answers to one question, all asked at once.

    Raises:
        StepCreditError: n < 1, retries < 0.
    """
    if n < 1 or retries < 0:
        raise StepCreditError(f"n is at least 1, retries at least 0; got {n}, {retries}")
    plans = (asked(work, [prompt], read, retries=retries, draw=i) for i in range(n))
    return [one for (one,) in (yield from side_by_side(plans))]


def parts(work: Work, upto: int | None = None) -> list[Part]:
    """The task and the steps (up to and with step `upto`) with what was observed, as a judge sees them."""
    out: list[Part] = [("task", work.record.task or "")]
    for i, step in enumerate(work.record.steps[: None if upto is None else upto + 1], start=1):
        out.append((f"step {i}", shown(step)))
        if step.observation is not None and i - 1 != upto:
            out.append((f"result of step {i}", str(step.observation)))
    return out


def of_steps(found: Mapping[int, float], size: int) -> Floats:
    """[T] numbers of some steps, NaN of the others."""
    return np.array([found.get(t, NAN) for t in range(size)])


def why_not(why: str, label: Floats) -> tuple[str | None, ...]:
    """[T] this reason for every step that is not judged."""
    return tuple(why if np.isnan(x) else None for x in label)
