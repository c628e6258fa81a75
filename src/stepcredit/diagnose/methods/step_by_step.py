"""Step by step: a judge reads the run as it grew, and the first step that it calls an error is the verdict."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from stepcredit.credit.card import Preset
from stepcredit.diagnose._judging import (
    NAN,
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
from stepcredit.llm.requests import Failed, Plan
from stepcredit.shelf import PlanCard

Unread = Literal["stop", "pass"]

CARD = PlanCard(
    title="Who&When: step by step",
    paper="arXiv:2505.00212",
    bibtex=BIBTEX,
    evidence="official code read",
    asks=("judge",),
    needs="nothing; the right answer helps, where the file has one",
    cost="at most one question per step and vote, one after the other, until a step is called wrong",
    departures="The wording is ours. Where a step could not be judged the search ends without a verdict, as an earlier "
    "error may lie there; the published code takes a reply that it cannot read for a no.",
    code=CODE,
)

PRESETS = {
    "who-and-when": Preset(
        {"form": "lines", "unread": "pass", "cut": None},
        'the published code: a yes is a reply that begins with "1. Yes"; any other reply is a no',
    ),
    "blind": Preset({"tell": False}, "without the right answer"),
}

_TASK = """Watch a run of one or more agents on a task as it goes, and judge its newest step, step {step}: does it \
hold an error that stands in the way of the task or leads to a wrong result? Judge by what could be known then. Do not \
be petty: a clumsy, short or superfluous step is no error, nor is one that goes on correctly from an earlier error."""
_BLOCK = """First think it through. Then end with your answer in this form:
<TAG>
step: ANSWER
reason: WORDS
</TAG>
ANSWER is yes (step {step} holds such an error) or no. WORDS say why, in at most 60 words."""
_LINES = """Answer in this form, and add nothing to it:
1. Yes or No.
2. Reason: WORDS"""


def step_by_step(
    case: Case,
    *,
    tell: bool = True,
    form: Form = "block",
    unread: Unread = "stop",
    cut: int | None = CUT,
    limit: int | None = None,
    votes: int = 1,
    retries: int = 1,
    seed: int = 0,
) -> Plan[Verdict]:
    """For t = 0, 1, ...: given the steps up to t, is step t an error? The first yes is the verdict.

    Scores: 0 for a no, 1 for the yes, NaN for the steps that nobody was asked about.

    Args:
        tell: the judge is told the right answer, where it is known (never the outcome, which the run did not know).
        form: of the answer: "block", in a tag; "lines", the published. unread: after a reply that cannot be read:
            "stop", without a verdict; "pass", take it for a no, unless none can be read. A request that fails always
            ends the search.
        cut, votes, retries, seed: as in `all_at_once`. limit: most characters of the steps of one question; the oldest
            are left out, and the judge is told so.
    """
    log = Log(case, tell, True, cut, limit)

    def one(judge: Judge) -> Plan[Verdict]:
        return (yield from in_order(log, judge, range(len(case.steps)), form, unread))

    return (yield from voted(case, one, votes=votes, retries=retries, seed=seed))


def in_order(log: Log, judge: Judge, steps: Sequence[int], form: Form, unread: Unread) -> Plan[Verdict]:
    """The verdict on these steps, one after the other until one is called wrong."""
    scores = np.full(len(log.case.steps), NAN)
    passed: dict[str, str] = {}
    told: dict[str, Any] = {"passed": passed} if unread == "pass" else {}
    for t in steps:
        (said,) = yield from judge.ask([_question(log, t, form)])
        if isinstance(said, Failed):
            if unread == "stop" or not isinstance(said, NotRead):
                return not_judged(log, f"step {t} was not judged: {said.reason}", scores, **told)
            passed[str(t)] = said.reason
            continue
        wrong, reason = said
        scores[t] = float(wrong)
        if wrong:
            return blamed(log, Said(t, None, None, reason), scores, **told)
    many = f"{len(steps)} steps" if len(steps) != 1 else "1 step"
    if passed and len(passed) == len(steps):
        return not_judged(log, f"none of the judge's replies on {many} could be read", scores, **told)
    none = f"the judge finds none of {many} wrong"
    none += f"; its replies on {len(passed)} of them could not be read and count as a no" if passed else ""
    return blamed(log, Said(None, None, None, none), scores, **told)


def _question(log: Log, t: int, form: Form) -> Question[tuple[bool, str | None]]:
    first, shown = log.recent(t)
    task = _TASK.format(step=t) + log.left_out(first)
    end = _LINES if form == "lines" else _BLOCK.format(step=t)
    prompt, tag = prompt_of(task, [*log.head(), *shown], end)
    return Question(prompt, _lines if form == "lines" else lambda reply: _block(reply, tag))


def _block(reply: str, tag: str) -> tuple[bool, str | None]:
    found = fields(block(reply, tag))
    answer = found.get("step", "").lower().strip("*. ")
    if answer not in ("yes", "no"):
        raise Unreadable("it says neither yes nor no")
    return answer == "yes", told_in(found.get("reason"))


def _lines(reply: str) -> tuple[bool, str | None]:
    said = spoken(reply).strip()
    if not said.lower().startswith(("1. yes", "1. no")):
        raise Unreadable('it does not begin with "1. Yes" or "1. No"')
    return said.lower().startswith("1. yes"), told_in(said.partition("Reason:")[2])


def cost_of(case: Case, **options: Any) -> dict[str, int]:
    """The most that it spends on a run."""
    return most_questions(len(case.steps), options)
