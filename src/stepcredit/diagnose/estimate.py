"""What a diagnosis will cost on these runs: the methods are run against stand-ins, and nobody is asked.

Methods look at a reply before they ask again, so that what they spend lies between a least and a most: of stand-ins
that fill in every form that a method of ours asks for, one way and the other, and of one that says what cannot be read.
Where a method says itself what it spends at most (`cost_of`), and that is more, that is the most; for one that does
not, there are stand-ins that can be read only when they are asked for the last time.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np

from stepcredit.data.records import Rollout
from stepcredit.diagnose._judging import draw_for
from stepcredit.diagnose.case import SUCCESS, Case, Group
from stepcredit.diagnose.run import METHODS, failed
from stepcredit.llm.requests import Ask, BudgetSpent, Check, Continue, Force, Request, Score
from stepcredit.protocols import Sample
from stepcredit.shelf import Planner

MOST = 200  # runs that are looked at; of more, a part stands for all
CHARACTERS = 4  # of a token
ANSWERS = ("yes", "no", "some", None)
"""What a stand-in finds: whatever it is asked about is wrong; nothing is; the run is, and none of its steps. None: it
says what cannot be read."""
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
    success: float = SUCCESS,
    chosen: Callable[[Rollout], bool] | None = None,
) -> Estimate:
    """Least and greatest cost of `diagnose`, whose arguments these are. Equal requests are paid once, as behind a
    `Client`.

    Raises:
        StepCreditError: as `diagnose`, but for models that are not there.
    """
    wanted = chosen or (lambda rollout: failed(rollout, success) is not False)
    planners = [METHODS.get(name) for name in methods]
    given = [{**p.options, **p.check_options((options or {}).get(p.name, {}))} for p in planners]
    asking = [(p, o) for p, o in zip(planners, given, strict=True) if p.card.asks or p.card.may_ask]
    groups = [list(members) for _, members in groupby(rollouts, key=lambda r: r.group)]
    total = sum(map(wanted, (r for members in groups for r in members)))
    if not asking or not total:
        return Estimate(total, {}, {}, ())
    stand_ins = [_StandIn(answer, late) for answer in ANSWERS for late in (False, True) if answer or not late]
    least, most, looked = Counter[str](), Counter[str](), 0
    for case in _cases(_part([m for m in groups if any(map(wanted, m))], total), success, wanted):
        looked += 1
        for planner, chosen_options in asking:
            low, high = _spent(case, planner, chosen_options, stand_ins)
            least.update(low)
            most.update(high)
    scale = total / looked
    told = [f"a token is {CHARACTERS} characters; what judges write comes on top"]
    if most["calls to the judge"]:
        told.append("at most: every question to a judge as long as the longest of its run")
    if looked < total:
        told.append(f"{looked:,} of {total:,} runs were looked at; the others are taken to cost as much")
    names = sorted(name for name, number in most.items() if number)
    return Estimate(
        total, {name: scale * least[name] for name in names}, {name: scale * most[name] for name in names}, tuple(told)
    )


def _cases(groups: Sequence[list[Rollout]], success: float, chosen: Callable[[Rollout], bool]) -> Iterator[Case]:
    for members in groups:
        group = Group(members, success)
        yield from (Case(group, i) for i, rollout in enumerate(members) if chosen(rollout))


def _spent(
    case: Case, planner: Planner, options: Mapping[str, Any], stand_ins: Sequence["_StandIn"]
) -> tuple[Counter[str], Counter[str]]:
    """Least and most of what a method spends on a run."""
    cost_of = getattr(planner.function, "__globals__", {}).get("cost_of")
    asked = [one for one in stand_ins if not one.late or cost_of is None]
    books = [one.run(planner.function(case, **options), options) for one in asked]
    names = {name for book in books for name in book}
    least = Counter({name: min(book[name] for book in books) for name in names})
    most = Counter({name: max(book[name] for book in books) for name in names})
    said: Mapping[str, int] = cost_of(case, **options) if cost_of is not None else {}
    questions = said.get("questions", 0)
    more = max(0, questions - most["calls to the judge"])
    most.update({"calls": more, "calls to the judge": more})
    longest = max(one.longest for one in asked)
    least_of_most = {
        "tokens read": questions * longest,
        "samples": said.get("samples", 0),
        "checks": said.get("checks", 0),
        "tokens written, at most": said.get("tokens", 0),
    }
    for name, number in least_of_most.items():
        most[name] = max(most[name], number)
    return least, most


def _part(groups: list[list[Rollout]], total: int) -> list[list[Rollout]]:
    """Whole tasks, evenly from beginning to end."""
    if total <= MOST or not groups:
        return groups
    wanted = max(1, round(len(groups) * MOST / total))
    places = np.linspace(0, len(groups) - 1, wanted).round().astype(int)
    return [groups[i] for i in dict.fromkeys(places.tolist())]


class _StandIn:
    """Whoever is asked; counts. Equal requests (but checks) are paid once.

    late: what it says can be read only when it is asked for the last time.
    """

    def __init__(self, answer: str | None, late: bool) -> None:
        self.answer, self.late = answer, late
        self.longest = 0
        self._book = Counter[str]()
        self._paid, self._early = set[int](), set[int]()

    def run(self, plan: Any, options: Mapping[str, Any]) -> Counter[str]:
        """What a plan spends; a method that asks nobody has returned its verdict already. longest: tokens of the
        longest question to the judge."""
        self._book, self.longest = Counter(), 0
        tries, votes = int(options.get("retries", 0)) if self.late else 0, int(options.get("votes", 1))
        seed = options.get("seed", 0)
        self._early = {draw_for(seed, vote, attempt) for vote in range(votes) for attempt in range(tries)}
        if isinstance(plan, Generator):
            try:
                asked = next(plan)
                while True:
                    asked = plan.send([self._reply(request) for request in asked])
            except (StopIteration, BudgetSpent):
                pass
        return self._book

    def _reply(self, request: Request) -> Any:
        if isinstance(request, Check):
            self._book["checks"] += 1
            return float(self._book["checks"] % 2 if self.answer == "some" else self.answer == "yes")
        if isinstance(request, Ask):
            self.longest = max(self.longest, _tokens(request.prompt))
        if hash(request) not in self._paid:
            self._paid.add(hash(request))
            self._pay(request)
        match request:
            case Ask():
                readable = self.answer is not None and request.draw not in self._early
                return filled(request.prompt, self.answer or "") if readable else "nobody was asked"
            case Continue():
                return [Sample("Answer: nothing") for _ in range(request.n)]
            case Score():
                return 0.5
            case Force():
                return np.full(_tokens(request.continuation), -1.0)

    def _pay(self, request: Request) -> None:
        self._book["calls"] += 1
        self._book[f"calls to the {request.to}"] += 1
        match request:
            case Ask():
                read = request.prompt
            case Continue():
                read = request.whole
                self._book["samples"] += request.n
                self._book["tokens written, at most"] += request.n * request.max_tokens
            case Score():
                read = request.prefix + request.step
            case Force():
                read = request.prefix + request.continuation
            case _:
                read = ""
        self._book["tokens read"] += _tokens(read)


def _tokens(text: str) -> int:
    return -(-len(text) // CHARACTERS)


def filled(prompt: str, answer: str) -> str:
    """The form that a prompt ends with, filled in: as one of `ANSWERS`."""
    end = prompt.rpartition(" end]]")[2]
    wrong = answer == "yes"
    shown = re.search(r"Shown are steps (\d+) to", prompt)
    first = shown[1] if shown else "0"
    if "Agent Name:" in end:
        return f"Agent Name: nobody\nStep Number: {first}\nReason for Mistake: none"
    if "1. Yes or No." in end:
        return "1. Yes." if wrong else "1. No."
    if '"upper half"' in end:
        return "upper half" if wrong else "lower half"
    if labeled := re.search(r"each of the steps (\d+) to (\d+)", end):
        labels = {str(t): -1 if wrong else 1 for t in range(int(labeled[1]), int(labeled[2]) + 1)}
        body = json.dumps({"labels": labels})
        return f"```json\n{body}\n```" if "```json" in end else _tagged(end, body)
    if "(POINTS)" in end:
        return _tagged(end, "It is right (1)")
    if graded := re.search(r"for each of the (\d+) criteria", end):
        return _tagged(end, "\n".join(f"{i + 1}: {'no' if wrong else 'yes'}" for i in range(int(graded[1]))))
    step = "upper" if wrong else "lower"
    if "NUMBER" in end:
        step = "none" if answer == "no" else first
    elif "upper" not in end:
        step = "yes" if wrong else "no"
    chance = {"yes": "1", "no": "0"}.get(answer, "0.5")
    return _tagged(end, f"step: {step}\nchance: {chance}")


def _tagged(end: str, body: str) -> str:
    tags = _TAG.findall(end)
    return f"<{tags[-1]}>\n{body}\n</{tags[-1]}>" if tags else body
