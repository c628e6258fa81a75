"""What a plan may ask of models, and how it hears that there is no answer.

A plan is a generator: it yields lists of requests and receives the replies in their order, so that the same few lines
run against functions, a model on this machine or a server, alone or a thousand side by side (`stepcredit.llm.drive`).

    def two_lines(prompt: str) -> Plan[str]:
        (first,) = yield [Continue(prompt, stop=("\\n",))]
        return prompt if isinstance(first, Failed) else prompt + first[0].text
"""

from collections.abc import Generator, Iterable, Sequence
from hashlib import blake2b
from typing import Any, TypeVar

import msgspec

from stepcredit.errors import StepCreditError

T = TypeVar("T")
ENDS = r"(?i)\banswer\b\s*(?:is)?\s*:|\\boxed\{|^####"
"""Pattern of a step that completes a solution, for models that do not say whether they ended by themselves."""


class Continue(msgspec.Struct, frozen=True):
    """n continuations of a prompt. Reply: a list of n `Sample`, or `Failed`.

    prefix: what the model has written so far: it goes on from there. A chat model gets it as the beginning of its own
    answer, every other model behind the prompt. history: (role, text) of the messages before the prompt; a model that
    does not chat reads their texts before it, one a line. draw: tells apart requests that are otherwise equal and are
    to be drawn anew; the same draw of the same request has one answer for ever. to: the model that is asked, by the
    name it has in `drive`.
    """

    prompt: str
    prefix: str = ""
    n: int = 1
    max_tokens: int = 256
    temperature: float = 1.0
    stop: tuple[str, ...] = ()
    draw: int = 0
    to: str = "sampler"
    history: tuple[tuple[str, str], ...] = ()

    @property
    def whole(self) -> str:
        """All of it as one text."""
        return "".join(f"{text}\n" for _, text in self.history) + self.prompt + self.prefix


class Ask(msgspec.Struct, frozen=True):
    """One question to a judge. Reply: its text, or `Failed`."""

    prompt: str
    draw: int = 0
    to: str = "judge"


class Score(msgspec.Struct, frozen=True):
    """A scorer's opinion of a step (a whole one, the beginning of one) after a prefix. Reply: a number, or `Failed`."""

    prefix: str
    step: str
    to: str = "scorer"


class Force(msgspec.Struct, frozen=True):
    """How likely is this continuation? Reply: the log-probability of each of its tokens, or `Failed`."""

    prefix: str
    continuation: str
    to: str = "forcer"


class Check(msgspec.Struct, frozen=True):
    """Is an answer right? Reply: 1 (right) to 0 (wrong), or `Failed` where it cannot be told."""

    answer: str
    reference: str
    to: str = "verifier"


Request = Continue | Ask | Score | Force | Check
Plan = Generator[Sequence[Request], list[Any], T]


class Failed(msgspec.Struct, frozen=True):
    """There is no answer, and why: data on the step, never a guess."""

    reason: str


class BudgetSpent(StepCreditError):
    """The budget does not hold another request, so it was not sent. Raised where the plan waits for its replies."""


def draw_of(*named: object) -> int:
    """A `draw` by its names: equal names, equal draw, in every process.

    >>> draw_of(0, "task", 1) == draw_of(0, "task", 1) != draw_of(0, "task", 2)
    True
    """
    text = "|".join(map(str, named))
    return int.from_bytes(blake2b(text.encode(), digest_size=6).digest(), "little")


def side_by_side(plans: Iterable[Plan[T]]) -> Plan[list[T]]:
    """Several plans as one: what they ask goes out together; what each returned, in their order."""
    running = dict(enumerate(plans))
    done: dict[int, T] = {}
    replies: dict[int, list[Any] | None] = dict.fromkeys(running)
    asked: dict[int, Sequence[Request]] = {}
    try:
        while running:
            for i in list(running):
                try:
                    got = replies[i]
                    asked[i] = next(running[i]) if got is None else running[i].send(got)
                except StopIteration as end:
                    done[i] = end.value
                    del running[i]
            flat = yield [r for i in running for r in asked[i]]
            at = 0
            for i in running:
                replies[i] = flat[at : at + len(asked[i])]
                at += len(asked[i])
    finally:
        for plan in running.values():
            plan.close()
    return [done[i] for i in sorted(done)]
