"""Checklist: a judge answers yes or no to each item of a list for every step; the first step that fails is to blame."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from stepcredit.diagnose._judging import Judge, Said, blamed, most_questions, not_judged, voted
from stepcredit.diagnose._log import CUT, Log
from stepcredit.diagnose._per_step import graded, told_grades
from stepcredit.diagnose.case import Case, Verdict
from stepcredit.errors import StepCreditError
from stepcredit.evidence._prompts.rubric import Item
from stepcredit.llm.requests import Plan
from stepcredit.shelf import PlanCard

CARD = PlanCard(
    title="A checklist for every step",
    paper="stepcredit (no paper)",
    bibtex="""@misc{stepcredit, title={stepcredit: step-level credit assignment}, year={2026}}""",
    evidence="derived",
    asks=("judge",),
    needs="nothing; items of your own fit your agents better",
    cost="one question per step and vote; each shows the run up to its step",
    departures="Ours, after checklists of yes-or-no questions as in TICK (arXiv:2410.03608). A step that could not be "
    "judged leaves the steps behind it open.",
)

ITEMS = (
    "It uses only facts that the task or what stands before it gives; nothing is made up.",
    "It reads what came before it, replies of tools above all, rightly, and leaves nothing that matters out.",
    "Its calculations, its code and its logic are right.",
    "If it calls a tool: it is a fitting tool, with right arguments.",
    "It does not repeat unchanged what has failed or what has been done already.",
    "It keeps to what the task, the rules and the role of the agent demand.",
    "What it says about being done, or about what it did, is true.",
)


def checklist(
    case: Case,
    *,
    items: Sequence[str] = ITEMS,
    tolerate: int = 0,
    tell: bool = False,
    cut: int | None = CUT,
    limit: int | None = None,
    votes: int = 1,
    retries: int = 1,
    seed: int = 0,
) -> Plan[Verdict]:
    """score_t = share of the items that step t fails, of those that apply; to blame is the first step that fails more
    than `tolerate` of them.

    Args:
        items: each decidable by yes or no from the run up to the step. tolerate: items that a step may fail.
        tell: the judge is told the right answer, where it is known.
        cut, votes, retries, seed: as in `all_at_once`. limit: as in `step_by_step`.
    """
    if tolerate < 0:
        raise StepCreditError(f"tolerate must be at least 0; got {tolerate}")
    log = Log(case, tell, True, cut, limit)
    asked = [Item(text) for text in items]

    def one(judge: Judge) -> Plan[Verdict]:
        grades, why = yield from graded(log, judge, asked, yes_no=True)
        applies = (~np.isnan(grades)).sum(1)
        missed = (grades == 0).sum(1)
        scores = np.divide(missed, applies, out=np.zeros(len(applies)), where=applies > 0)
        scores[list(why)] = np.nan
        told = told_grades(grades, why)
        first = next((t for t in range(len(scores)) if t in why or missed[t] > tolerate), None)
        if first in why:
            return not_judged(log, f"step {first} was not judged: {why[first]}", scores, **told)
        if first is None:
            return blamed(log, Said(None, None, None, "no step fails an item of the list"), scores, **told)
        failed = [asked[i].text for i in np.flatnonzero(grades[first] == 0)]
        return blamed(log, Said(first, None, None, f"not so: {' '.join(failed)}"), scores, **told)

    return (yield from voted(case, one, votes=votes, retries=retries, seed=seed))


def cost_of(case: Case, **options: Any) -> dict[str, int]:
    """The most that it spends on a run."""
    return most_questions(len(case.steps), options)
