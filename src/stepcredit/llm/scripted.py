"""Replies written beforehand, as a model: for tests, and to rehearse what a run asks.

>>> model = Scripted({"capital of France": "Paris"})
>>> model.judge(["What is the capital of France?", "And of Spain?"])
['Paris', None]
"""

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from stepcredit.errors import DataError, StepCreditError
from stepcredit.protocols import Sample

Reply = str | None
Replies = Mapping[str, Reply | Sequence[Reply]] | Sequence[Reply] | Callable[[str], Reply]

_TOKEN = re.compile(r"\s*\S+|\s+")


class Scripted:
    """A Sampler and a Judge whose replies are given.

    Args:
        replies: a function prompt -> reply; a mapping: the first key that the prompt contains has the reply, of several
            the next one each time, and from the first again; or a list: the replies in the order of the questions,
            whatever they are. None is a reply that failed.

    Attributes:
        asked: every prompt, in order; one that is to be continued n times comes n times.
    """

    def __init__(self, replies: Replies) -> None:
        self._replies = replies
        self._turn: dict[str, int] = {}
        self.asked: list[str] = []

    def judge(self, prompts: Sequence[str]) -> list[Reply]:
        """A Judge; None where nothing is written for a prompt.

        Raises:
            StepCreditError: a list has come to its end.
        """
        return [self._reply(prompt) for prompt in prompts]

    def sampler(
        self,
        prompts: Sequence[str],
        *,
        n: int = 1,
        max_tokens: int = 256,
        temperature: float = 1.0,
        stop: Sequence[str] = (),
    ) -> list[list[Sample]]:
        """A Sampler; its tokens are words with the blanks before them. The temperature changes nothing.

        Raises:
            StepCreditError: nothing is written for a prompt, or a list has come to its end.
        """
        return [[self._sample(prompt, max_tokens, stop, first=i == 0) for i in range(n)] for prompt in prompts]

    def _sample(self, prompt: str, max_tokens: int, stop: Sequence[str], *, first: bool) -> Sample:
        text = self._reply(prompt)
        if text is None:
            raise StepCreditError(
                f"no reply is written for a prompt that ends in {prompt[-80:]!r}",
                hint='a mapping may hold "": what is said to every other prompt',
            )
        at = min((i for s in stop if s and (i := text.find(s)) >= 0), default=len(text))
        tokens = _TOKEN.findall(text[:at])
        kept = tokens[:max_tokens]
        whole = len(kept) == len(tokens)
        return Sample(
            "".join(kept),
            tuple(kept),
            finished=whole,
            ended=whole and at == len(text),
            read=len(_TOKEN.findall(prompt)) if first else 0,
            written=len(kept),
        )

    def _reply(self, prompt: str) -> Reply:
        self.asked.append(prompt)
        if callable(self._replies):
            return self._replies(prompt)
        if isinstance(self._replies, Mapping):
            return self._mapped(self._replies, prompt)
        if len(self.asked) > len(self._replies):
            raise StepCreditError(f"question {len(self.asked)}, and {len(self._replies)} replies are written")
        return self._replies[len(self.asked) - 1]

    def _mapped(self, replies: Mapping[str, Reply | Sequence[Reply]], prompt: str) -> Reply:
        found = next((key for key in replies if key in prompt), None)
        reply = None if found is None else replies[found]
        if found is None or reply is None:
            return None
        if isinstance(reply, str):
            return reply
        turn = self._turn[found] = self._turn.get(found, -1) + 1
        return reply[turn % len(reply)] if reply else None


class _Row(msgspec.Struct, forbid_unknown_fields=True):
    prompt_contains: str
    reply: str | list[str | None] | None


def load(path: str | Path) -> Scripted:
    """A Scripted from JSON Lines: {"prompt_contains": "capital of France", "reply": "Paris"}.

    The first row that fits a prompt has the reply. `reply` may be a list, given in turn; null is a reply that failed.

    Raises:
        DataError: names file and row.
    """
    replies: dict[str, Reply | Sequence[Reply]] = {}
    with Path(path).open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                row = msgspec.json.decode(line, type=_Row)
            except (msgspec.MsgspecError, UnicodeDecodeError) as error:
                raise DataError(
                    f"not a scripted reply: {error}",
                    file=path,
                    row=number,
                    expected='like {"prompt_contains": "text", "reply": "text"}',
                ) from None
            if row.prompt_contains in replies:
                raise DataError("prompt_contains comes twice", file=path, row=number, got=row.prompt_contains)
            replies[row.prompt_contains] = row.reply
    if not replies:
        raise DataError("no replies", file=path)
    return Scripted(replies)
