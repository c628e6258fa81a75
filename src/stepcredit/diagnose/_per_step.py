"""One question per step: how does it stand with each criterion of a list?"""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from stepcredit.data.layout import Floats
from stepcredit.diagnose._judging import Judge, Question, block
from stepcredit.diagnose._log import Log, prompt_of
from stepcredit.errors import StepCreditError
from stepcredit.evidence._prompts import Part, Unreadable, numbered
from stepcredit.evidence._prompts.rubric import Item
from stepcredit.llm.requests import Failed, Plan

_TASK = """Watch a run of one or more agents on a task as it goes, and judge its newest step, step {step}, by each of \
the criteria for itself. Judge by what could be known then, and that step alone, not what stands before it.{left}"""
_GRADES = """Say briefly why for each criterion. Then end with your answer in this form:
<TAG>
1: ANSWER
2: ANSWER
</TAG>
with a line for each of the {n} criteria. ANSWER is {answer}, or n/a where the criterion does not apply to this step."""
_AT_ONCE = 32
_PAIR = re.compile(
    r"(?:[-*•]\s)?[\s*_`]*(\d{1,4})[\s*_`]*(?:[:)]|\.(?![\d.]))[\s*_`]*(yes|no|n/?a|[01](?:\.\d{1,40})?|\.\d{1,40})[\s*_`.]*",
    re.IGNORECASE | re.ASCII,
)


def graded(log: Log, judge: Judge, items: Sequence[Item], *, yes_no: bool) -> Plan[tuple[Floats, dict[int, str]]]:
    """[S, items] 1 (met) to 0 (not), NaN where a criterion does not apply or a step was not judged; why it was not.

    Raises:
        StepCreditError: no items.
    """
    if not items:
        raise StepCreditError(
            "there are no items to judge steps by", hint='items=("Uses only facts that it was given.",)'
        )
    size = len(log.case.steps)
    grades, why = np.full((size, len(items)), np.nan), dict[int, str]()
    said: list[list[float] | Failed] = []
    for first in range(0, size, _AT_ONCE):  # each prompt holds the run up to its step: not all at once
        steps = range(first, min(first + _AT_ONCE, size))
        said += yield from judge.ask([_question(log, t, items, yes_no) for t in steps])
    for t, one in enumerate(said):
        if isinstance(one, Failed):
            why[t] = one.reason
        else:
            grades[t] = one
    return grades, why


def _question(log: Log, t: int, items: Sequence[Item], yes_no: bool) -> Question[list[float]]:
    first, shown = log.recent(t)
    criteria: Part = ("criteria", numbered([item.text for item in items]))
    end = _GRADES.format(n=len(items), answer="yes or no" if yes_no else "a number from 0 (not at all) to 1 (fully)")
    task = _TASK.format(step=t, left=log.left_out(first))
    prompt, tag = prompt_of(task, [*log.head(), criteria, *shown], end)
    return Question(prompt, lambda reply: read_grades(block(reply, tag), len(items), yes_no=yes_no))


def read_grades(body: str, size: int, *, yes_no: bool) -> list[float]:
    """A grade per item, NaN for "n/a": one a line, or with semicolons between.

    Raises:
        Unreadable: anything else stands there: a percentage, a sign, a reason; an item is left out, named twice or not
            there; a number where yes or no was asked for, or above 1.

    >>> read_grades("1: yes; 2: n/a", 2, yes_no=True), read_grades("1: 0.25", 1, yes_no=False)
    ([1.0, nan], [0.25])
    """
    found: dict[int, float] = {}
    for line in re.split(r"[\n;]", body):
        if not line.strip():
            continue
        pair = _PAIR.fullmatch(line.strip())
        if pair is None:
            raise Unreadable("it holds a line that is no grade")
        item, word = int(pair[1]) - 1, pair[2].lower()
        if not 0 <= item < size or item in found:
            raise Unreadable("it judges a criterion twice, or one that is not there")
        if word.startswith("n") and word != "no":
            found[item] = float("nan")
        elif word in ("yes", "no"):
            found[item] = float(word == "yes")
        elif yes_no:
            raise Unreadable("it gives a number where yes or no was asked for")
        else:
            found[item] = float(word)
    if len(found) < size:
        raise Unreadable(f"it leaves {size - len(found)} of {size} criteria out")
    if any(x > 1 for x in found.values()):
        raise Unreadable("a grade above 1")
    return [found[i] for i in range(size)]


def told_grades(grades: Floats, why: dict[int, str]) -> dict[str, Any]:
    """Grades and failures as evidence."""
    rows = [[None if np.isnan(x) else float(x) for x in row] for row in grades]
    return {"grades": rows, "failed": {str(t): reason for t, reason in why.items()}}
