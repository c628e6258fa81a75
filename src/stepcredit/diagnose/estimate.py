"""What a diagnosis will cost on these runs: the methods are run against stand-ins, and nobody is asked.

Methods look at a reply before they ask again, so that what they spend lies between a least and a most: over stand-ins
that give every kind of reply that a method of ours reads, and one whose replies cannot be read.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np

from stepcredit.data.records import Rollout
from stepcredit.diagnose.run import METHODS, diagnose, failed
from stepcredit.llm.requests import Ask, Check, Continue, Failed, Force, Request, Score
from stepcredit.protocols import Sample

MOST = 200  # runs that are looked at; of more, a part stands for all
CHARACTERS = 4  # of a token
ANSWERS = ("none", "no", "yes", "upper", "lower", "0", None)
"""What a judge's stand-in says; None: what cannot be read."""
_TAG = re.compile(r"<(verdict\d+)>")


@dataclass(frozen=True)
class Estimate:
    """least, most: calls, tokens read, samples, tokens written, by name; of all `runs`. assumptions: in words."""

    runs: int
    least: Mapping[str, float]
    most: Mapping[str, float]
    assumptions: tuple[str, ...]


def estimate(
    rollouts: Iterable[Rollout],
    methods: Sequence[str],
    *,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    chosen: Callable[[Rollout], bool] = lambda rollout: failed(rollout) is not False,
) -> Estimate:
    """Least and greatest cost of `diagnose`, whose arguments these are.

    Raises:
        StepCreditError: as `diagnose`, but for models that are not there.
    """
    groups = [list(members) for _, members in groupby(rollouts, key=lambda r: r.group)]
    total = sum(map(chosen, (r for members in groups for r in members)))
    part = [r for members in _part([m for m in groups if any(map(chosen, m))], total) for r in members]
    looked = sum(map(chosen, part))
    cards = [METHODS.get(name).card for name in methods]
    asked = tuple(dict.fromkeys(name for card in cards for name in (*card.asks, *card.may_ask)))
    if not asked or not looked:
        return Estimate(total, {}, {}, ())
    books = []
    for answer in ANSWERS:
        stand_in = _StandIn(answer)
        for _ in diagnose(part, methods, dict.fromkeys(asked, stand_in), options=options, chosen=chosen):
            pass
        books.append(stand_in.spent)
    scale = total / looked
    names = sorted({name for book in books for name in book})
    least = {name: scale * min(book[name] for book in books) for name in names}
    most = {name: scale * max(book[name] for book in books) for name in names}
    told = [f"a token is {CHARACTERS} characters; what judges write comes on top"]
    if looked < total:
        told.append(f"{looked:,} of {total:,} runs were looked at; the others are taken to cost as much")
    return Estimate(total, least, most, tuple(told))


def _part(groups: list[list[Rollout]], total: int) -> list[list[Rollout]]:
    """Whole tasks, evenly from beginning to end."""
    if total <= MOST or not groups:
        return groups
    wanted = max(1, round(len(groups) * MOST / total))
    places = np.linspace(0, len(groups) - 1, wanted).round().astype(int)
    return [groups[i] for i in dict.fromkeys(places.tolist())]


class _StandIn:
    """Whoever is asked; counts. Equal requests (but checks) have one answer, which is paid once."""

    def __init__(self, answer: str | None) -> None:
        self.spent: Counter[str] = Counter()
        self._answer, self._told = answer, dict[Request, Any]()

    async def each(self, request: Request) -> Any:
        if isinstance(request, Check):
            self.spent["checks"] += 1
            return float(self._answer in ("yes", "upper"))
        if request not in self._told:
            self._told[request] = self._made(request)
        return self._told[request]

    def _made(self, request: Request) -> Any:
        self.spent["calls"] += 1
        self.spent[f"calls to the {request.to}"] += 1
        match request:
            case Ask():
                self._read(request.prompt)
                return self._reply(request.prompt)
            case Continue():
                self._read(request.whole)
                self.spent["samples"] += request.n
                self.spent["tokens written, at most"] += request.n * request.max_tokens
                return [Sample("Answer: nothing") for _ in range(request.n)]
            case Score():
                self._read(request.prefix + request.step)
                return 0.5
            case Force():
                self._read(request.prefix + request.continuation)
                return np.full(-(-len(request.continuation) // CHARACTERS), -1.0)
        return Failed("nobody was asked")

    def _read(self, text: str) -> None:
        self.spent["tokens read"] += -(-len(text) // CHARACTERS)

    def _reply(self, prompt: str) -> str:
        tags = _TAG.findall(prompt)
        if self._answer is None or not tags:
            return "nobody was asked"
        return f"<{tags[-1]}>\nstep: {self._answer}\n</{tags[-1]}>"
