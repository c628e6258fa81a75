"""A client as the functions of `stepcredit.protocols`: a list from plain code, `each` from an event loop."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from stepcredit.data.layout import Floats
from stepcredit.llm.requests import Ask, Continue, Failed, Force, Score
from stepcredit.llm.wire import Asked
from stepcredit.protocols import Sample


class Asking(Protocol):
    """What a door needs of a client."""

    async def each(self, request: Asked) -> Any:
        """The reply to one."""
        ...

    def all(self, requests: Sequence[Asked]) -> list[Any]:
        """The replies to many."""
        ...

    def tell(self, note: str) -> None:
        """Say once what went otherwise than asked."""
        ...


class SamplerDoor:
    """A Sampler. A prompt that failed has no samples, and the client's notes say why.

    Each further time that the same is asked of one door it is drawn anew; another door of the same seed draws the same
    in the same order.
    """

    def __init__(self, client: Asking) -> None:
        self._client = client
        self._asked: Counter[Continue] = Counter()

    def __call__(
        self,
        prompts: Sequence[str],
        *,
        n: int = 1,
        max_tokens: int = 256,
        temperature: float = 1.0,
        stop: Sequence[str] = (),
    ) -> list[list[Sample]]:
        """n continuations of each prompt."""
        requests = []
        for prompt in prompts:
            plain = Continue(prompt, "", n, max_tokens, temperature, tuple(stop))
            requests.append(Continue(prompt, "", n, max_tokens, temperature, tuple(stop), self._asked[plain]))
            self._asked[plain] += 1
        replies = self._client.all(requests)
        for reply in replies:
            if isinstance(reply, Failed):
                self._client.tell(f"prompts without samples: {reply.reason}")
        return [[] if isinstance(reply, Failed) else reply for reply in replies]

    async def each(self, request: Asked) -> Any:
        """The samples of a Continue, or Failed."""
        return await self._client.each(request)


class JudgeDoor:
    """A Judge: the text of each reply, None where there was none; equal questions have one answer."""

    def __init__(self, client: Asking) -> None:
        self._client = client

    def __call__(self, prompts: Sequence[str]) -> list[str | None]:
        """The reply to each prompt."""
        replies = self._client.all([Ask(p) for p in prompts])
        for reply in replies:
            if isinstance(reply, Failed):
                self._client.tell(f"questions without an answer: {reply.reason}")
        return [None if isinstance(reply, Failed) else reply for reply in replies]

    async def each(self, request: Asked) -> Any:
        """The text of an Ask, or Failed."""
        return await self._client.each(request)


class ForcerDoor:
    """A Forcer, of servers that echo a prompt with its log-probabilities; [NaN] where it failed."""

    def __init__(self, client: Asking) -> None:
        self._client = client

    def __call__(self, prefixes: Sequence[str], continuations: Sequence[str]) -> list[Floats]:
        """Per pair, the log-probability of each token of the continuation."""
        replies = self._client.all([Force(p, c) for p, c in zip(prefixes, continuations, strict=True)])
        for reply in replies:
            if isinstance(reply, Failed):
                self._client.tell(f"continuations without log-probabilities: {reply.reason}")
        return [np.array([np.nan]) if isinstance(reply, Failed) else reply for reply in replies]

    async def each(self, request: Asked) -> Any:
        """The log-probabilities of a Force, or Failed."""
        return await self._client.each(request)


class ScorerDoor:
    """A Scorer that asks the judge for a number.

    Args:
        ask: (prefix, step) -> the question. read: finds the number in the answer; None or NaN = there is none.
    """

    def __init__(self, client: Asking, ask: Callable[[str, str], str], read: Callable[[str], float | None]) -> None:
        self._client, self._ask, self._read = client, ask, read

    def __call__(self, prefixes: Sequence[str], steps: Sequence[str]) -> Floats:
        """One number per (everything before the step, the step); NaN = failed."""
        replies = self._client.all([Ask(self._ask(p, s)) for p, s in zip(prefixes, steps, strict=True)])
        scores = map(self._score, replies)
        return np.array([np.nan if isinstance(score, Failed) else score for score in scores], float)

    async def each(self, request: Score) -> Any:
        """The number of a Score, or Failed."""
        return self._score(await self._client.each(Ask(self._ask(request.prefix, request.step))))

    def _score(self, reply: str | Failed) -> float | Failed:
        if isinstance(reply, Failed):
            return reply
        score = self._read(reply)
        return Failed(f"no number in {reply[:80]!r}") if score is None or score != score else float(score)


class RewardDoor:
    """A Scorer by a reward model on a server; the separator, at whose token it tells its opinion, stands behind every
    step."""

    def __init__(self, client: Asking, separator: str) -> None:
        self._client, self._separator = client, separator

    def __call__(self, prefixes: Sequence[str], steps: Sequence[str]) -> Floats:
        """One number per (everything before the step, the step); NaN = failed."""
        replies = self._client.all([Score(p, s + self._separator) for p, s in zip(prefixes, steps, strict=True)])
        for reply in replies:
            if isinstance(reply, Failed):
                self._client.tell(f"steps without a score: {reply.reason}")
        return np.array([np.nan if isinstance(reply, Failed) else reply for reply in replies], float)

    async def each(self, request: Score) -> Any:
        """The number of a Score, or Failed."""
        return await self._client.each(Score(request.prefix, request.step + self._separator))
