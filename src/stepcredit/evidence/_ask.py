"""Asking a judge: in one go, again where a reply could not be read, and with what failed counted."""

import inspect
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from stepcredit.errors import StepCreditError, UnknownName
from stepcredit.evidence._prompts import Unreadable
from stepcredit.evidence.card import Cost
from stepcredit.protocols import Judge

T = TypeVar("T")
NO_REPLY = "no reply"


@dataclass(frozen=True)
class Question(Generic[T]):
    """A prompt and what reads the reply to it (raising Unreadable where it cannot)."""

    prompt: str
    read: Callable[[str], T]


@dataclass(frozen=True)
class Asked(Generic[T]):
    """What a judge said.

    answers: one per question, None where it was not judged. calls: prompts sent, those sent again included.
    failed: questions left without an answer, by reason.
    """

    answers: list[T | None]
    calls: int
    failed: Mapping[str, int]

    def note(self, what: str, failed: str = "not judged") -> str:
        """In words: what was asked, how often, and what became of that which failed."""
        said = f"{what}: {_times(self.calls, 'call')} of the judge"
        if self.failed:
            reasons = ", ".join(f"{why} {n:,}" for why, n in self.failed.items())
            said += f"; {sum(self.failed.values()):,} of {len(self.answers):,} {failed} ({reasons})"
        return said


def ask(judge: Judge, questions: Sequence[Question[T]], *, retries: int = 0) -> Asked[T]:
    """Ask all questions at once, and then up to `retries` times those whose replies failed or could not be read.

    A prompt sent again says so, and what was wrong, in a last line: a judge that caches would repeat its reply.

    Raises:
        StepCreditError: the judge does not give one reply per prompt, or gives something else than text; retries < 0;
            the judge is None.
    """
    _at_least_none(retries)
    if judge is None:
        raise StepCreditError("this evidence cannot do without a judge", hint="a function: prompts -> replies")
    answers: list[T | None] = [None] * len(questions)
    why: dict[int, str] = {}
    left, calls = list(range(len(questions))), 0
    for attempt in range(retries + 1):
        if not left:
            break
        prompts = [questions[i].prompt + _again(attempt, why.get(i)) for i in left]
        replies = judge(prompts)
        calls += len(prompts)
        if len(replies) != len(prompts):
            raise StepCreditError(
                f"the judge gave {len(replies)} replies to {len(prompts)} prompts",
                hint="one per prompt, None where there is none",
            )
        for i, reply in zip(left, replies, strict=True):
            if not isinstance(reply, str | None):
                raise StepCreditError(
                    f"the judge gave a reply of type {type(reply).__name__}",
                    hint="one text per prompt, None where there is none",
                )
            try:
                answers[i] = questions[i].read(reply) if reply is not None else None
                why.pop(i, None)
                if reply is None:
                    why[i] = NO_REPLY
            except Unreadable as error:
                why[i] = str(error)
        left = sorted(why)
    return Asked(answers, calls, dict(sorted(Counter(why.values()).items())))


def cost_of(questions: int, retries: int, kind: str = "judge") -> Cost:
    """What asking so many questions costs."""
    _at_least_none(retries)
    return Cost({kind: questions * (1 + retries)}, at_most=retries > 0 and questions > 0)


def options_of(function: Callable[..., Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """All options of a kind of evidence: those given, the defaults of the others.

    Raises:
        UnknownName: it has no such option.
    """
    parameters = inspect.signature(function).parameters.values()
    known = {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}
    for name in given.keys() - known.keys():
        raise UnknownName(f"option of {function.__name__}", name, known)
    return {**known, **given}


def _at_least_none(retries: int) -> None:
    if retries < 0:
        raise StepCreditError(f"retries must be 0 or more; got {retries}")


def _again(attempt: int, why: str | None) -> str:
    if not attempt:
        return ""
    wrong = "there was no reply" if why == NO_REPLY else f"the reply could not be read: {why}"
    return f"\n\n(Attempt {attempt + 1}. Before, {wrong}.)"


def _times(n: int, what: str) -> str:
    return f"{n:,} {what}" + "s" * (n != 1)
