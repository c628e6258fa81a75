"""Binary search: a judge says in which half of the run the decisive error lies, until one step is left."""

from dataclasses import replace
from math import ceil, log2
from typing import Any, Literal

import numpy as np

from stepcredit.credit.card import Preset
from stepcredit.diagnose._judging import (
    Judge,
    NotRead,
    Question,
    Said,
    blamed,
    block,
    fields,
    most_questions,
    not_judged,
    told_in,
    voted,
)
from stepcredit.diagnose._log import CUT, Log, prompt_of
from stepcredit.diagnose._whole import Form
from stepcredit.diagnose.case import Case, Verdict
from stepcredit.diagnose.methods.all_at_once import BIBTEX, CODE
from stepcredit.evidence._prompts import Unreadable, spoken
from stepcredit.llm.requests import Failed, Plan, draw_of
from stepcredit.shelf import PlanCard

CARD = PlanCard(
    title="Who&When: binary search",
    paper="arXiv:2505.00212",
    bibtex=BIBTEX,
    evidence="official code read",
    asks=("judge",),
    needs="nothing; the right answer helps, where the file has one",
    cost="ceil(log2(steps)) questions per vote, one after the other",
    departures="The wording is ours, and the steps are numbered. A reply that names no half ends the search without a "
    "verdict; the published code draws one of the halves.",
    code=CODE,
)

PRESETS = {
    "who-and-when": Preset(
        {"numbered": False, "form": "lines", "unread": "random", "retries": 0, "cut": None},
        'the published code: steps without numbers, "upper half" or "lower half" anywhere in the reply, else a coin',
    ),
    "blind": Preset({"tell": False}, "without the right answer"),
}

_TASK = """Shown are steps {first} to {last} of a run of one or more agents on a task.{how} One of them is the \
decisive error: the earliest step that is wrong and without which the run would have reached its goal. In which half \
does it lie? Upper half: steps {first} to {mid}. Lower half: steps {after} to {last}. If you see no clear error, \
choose the half that is more to blame."""
_BLOCK = """First think it through. Then end with your answer in this form:
<TAG>
step: ANSWER
reason: WORDS
</TAG>
ANSWER is upper or lower. WORDS say why, in at most 60 words."""
_LINES = """Answer with "upper half" or "lower half", and add nothing to it."""


def binary_search(
    case: Case,
    *,
    tell: bool = True,
    numbered: bool = True,
    form: Form = "block",
    unread: Literal["fail", "random"] = "fail",
    cut: int | None = CUT,
    limit: int | None = None,
    votes: int = 1,
    retries: int = 1,
    seed: int = 0,
) -> Plan[Verdict]:
    """Of steps a to b, mid = a + (b - a) // 2: does the error lie in [a, mid] or in [mid + 1, b]? Until a = b.

    A step's score is the share of the questions that it came through, 1 for the one that is left. The only step of a
    run is to blame without a question, and without a confidence.

    Args:
        unread: a reply that names no half: "fail", no verdict; "random", a half by chance (from the seed). A request
            that fails always ends the search.
        limit: most characters of the steps of one question; longer texts are cut in the middle until they fit.
        tell, numbered, form, cut, votes, retries, seed: as in `all_at_once`.
    """
    log = Log(case, tell, numbered, cut, limit)

    def one(judge: Judge) -> Plan[Verdict]:
        return (yield from _halved(log, judge, form, unread == "random"))

    verdict = yield from voted(case, one, votes=votes, retries=retries, seed=seed)
    return replace(verdict, confidence=None) if len(case.steps) == 1 else verdict


def _halved(log: Log, judge: Judge, form: Form, chance: bool) -> Plan[Verdict]:
    size = len(log.case.steps)
    first, last, path = 0, size - 1, list[list[object]]()
    reason = None if size > 1 else "it is the only step; nobody was asked"
    scores, rounds = np.zeros(size), 0
    while first < last:
        mid = first + (last - first) // 2
        (said,) = yield from judge.ask([_question(log, first, mid, last, form)])
        guessed = isinstance(said, NotRead) and chance
        if isinstance(said, Failed) and not guessed:
            scores[:] = np.nan
            return not_judged(log, f"steps {first} to {last} were not judged: {said.reason}", scores, path=path)
        rounds += 1
        if isinstance(said, Failed):
            upper, why = draw_of("half", judge.seed, judge.vote, first, last) % 2 == 0, None
        else:
            upper, why = said
        reason = why or reason
        path.append([first, last, "upper" if upper else "lower", "by chance" if guessed else "judged"])
        first, last = (first, mid) if upper else (mid + 1, last)
        scores[first : last + 1] = rounds
    scores = scores / rounds if rounds else np.ones(size)
    return blamed(log, Said(first, None, None, reason), scores, path=path)


def _question(log: Log, first: int, mid: int, last: int, form: Form) -> Question[tuple[bool, str | None]]:
    how = ("" if log.numbered else f" The first one shown is step {first}.") + log.outcome()
    task = _TASK.format(first=first, mid=mid, after=mid + 1, last=last, how=how)
    prompt, tag = prompt_of(task, [*log.head(), *log.shrunk(first, last)], _LINES if form == "lines" else _BLOCK)
    return Question(prompt, _lines if form == "lines" else lambda reply: _block(reply, tag))


def _block(reply: str, tag: str) -> tuple[bool, str | None]:
    found = fields(block(reply, tag))
    answer = found.get("step", "").lower().removesuffix(" half").strip("*. ")
    if answer not in ("upper", "lower"):
        raise Unreadable("it names no half")
    return answer == "upper", told_in(found.get("reason"))


def _lines(reply: str) -> tuple[bool, str | None]:
    """As the published code reads it: "upper half" anywhere, and only then "lower half"."""
    said = spoken(reply).lower()
    if "upper half" not in said and "lower half" not in said:
        raise Unreadable("it names no half")
    return "upper half" in said, None


def cost_of(case: Case, **options: Any) -> dict[str, int]:
    """The most that it spends on a run."""
    return most_questions(ceil(log2(len(case.steps))) if case.steps else 0, options)
