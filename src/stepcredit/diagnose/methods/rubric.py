"""Rubric: a judge grades every step by weighted criteria, written for the task; the step with the worst grade is to
blame."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from stepcredit.diagnose._judging import Judge, Question, Said, blamed, block, most_questions, not_judged, voted
from stepcredit.diagnose._log import CUT, Log, prompt_of
from stepcredit.diagnose._per_step import graded, told_grades
from stepcredit.diagnose.case import Case, Verdict
from stepcredit.errors import StepCreditError
from stepcredit.evidence._prompts.rubric import Item, read_rubric
from stepcredit.llm.requests import Failed, Plan
from stepcredit.shelf import PlanCard

CARD = PlanCard(
    title="A rubric for every step",
    paper="stepcredit (no paper)",
    bibtex="""@misc{stepcredit, title={stepcredit: step-level credit assignment}, year={2026}}""",
    evidence="derived",
    asks=("judge",),
    needs="nothing; the right answer helps, where the file has one",
    cost="one question for the rubric and one per step, per vote; each shows the run up to its step",
    departures="Ours, after rubrics written from a reference as in RRM (arXiv:2510.07774), which grades solutions, "
    "not steps.",
)

_WRITE = """Write a rubric by which single steps of agents on a task are graded. What must every step of a run on this \
task do right, and which errors would break the run? Each item must be decidable from the run up to the step. Give \
each item points by how much harm it does to miss it; all points together are {points:g}. At most {most} items."""
_FORM = """Think it through. Then end with the items, one a line, each with its points in brackets, in this form:
<TAG>
ANSWER (POINTS)
</TAG>"""


def rubric(
    case: Case,
    *,
    items: Sequence[str] = (),
    sound: float = 0.5,
    points: float = 10.0,
    most: int = 8,
    tell: bool = True,
    cut: int | None = CUT,
    limit: int | None = None,
    votes: int = 1,
    retries: int = 1,
    seed: int = 0,
) -> Plan[Verdict]:
    """score_t = 1 - sum_k w_k v_tk / sum_k w_k over the items k that apply to step t, graded v_tk from 0 to 1.

    To blame is the step with the highest score, of equals the first, if its grade (1 - score) is below `sound`.

    Args:
        items: of the rubric, "Uses the right unit (3)": points in brackets, 1 without; none: the judge writes them.
        points: of a whole rubric that is written; most: its items.
        tell: whoever writes and grades is told the right answer, where it is known.
        cut, votes, retries, seed: as in `all_at_once`. limit: as in `step_by_step`.
    """
    if not 0 <= sound <= 1 or points <= 0 or most < 1:
        raise StepCreditError(f"sound is within 0..1, points above 0, most at least 1; got {sound}, {points}, {most}")
    log = Log(case, tell, True, cut, limit)
    given = read_rubric("<rubric>\n" + "\n".join(items) + "\n</rubric>") if items else None

    def one(judge: Judge) -> Plan[Verdict]:
        used = given
        if used is None:
            (written,) = yield from judge.ask([_writing(log, points, most)])
            if isinstance(written, Failed):
                return not_judged(log, f"no rubric: {written.reason}")
            used = written
        grades, why = yield from graded(log, judge, used, yes_no=False)
        weight = np.where(np.isnan(grades), 0.0, np.array([item.weight for item in used]))
        total = weight.sum(1)
        met = (weight * np.nan_to_num(grades)).sum(1)
        scores = 1 - np.divide(met, total, out=np.ones(len(total)), where=total > 0)
        scores[list(why)] = np.nan
        told = {"rubric": [[item.text, item.weight] for item in used], **told_grades(grades, why)}
        worst = int(np.nanargmax(scores)) if len(why) < len(scores) else None
        if worst is not None and scores[worst] > 1 - sound:
            missed = [used[i].text for i in np.flatnonzero(grades[worst] < sound)]
            reason = f"grade {1 - scores[worst]:.2f}; little of: {' '.join(missed)}" if missed else None
            return blamed(log, Said(worst, None, None, reason), scores, **told)
        if why:
            t, reason = next(iter(why.items()))
            return not_judged(log, f"step {t} was not judged: {reason}", scores, **told)
        return blamed(log, Said(None, None, None, f"every step has a grade of {sound:g} or more"), scores, **told)

    return (yield from voted(case, one, votes=votes, retries=retries, seed=seed))


def _writing(log: Log, points: float, most: int) -> Question[list[Item]]:
    prompt, tag = prompt_of(_WRITE.format(points=points, most=most), log.head(), _FORM)

    def read(reply: str) -> list[Item]:
        return read_rubric(f"<rubric>\n{block(reply, tag)}\n</rubric>")[:most]

    return Question(prompt, read)


def cost_of(case: Case, **options: Any) -> dict[str, int]:
    """The most that it spends on a run."""
    return most_questions(len(case.steps) + (0 if options["items"] or not case.steps else 1), options)
