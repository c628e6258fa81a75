"""The final answer of a rollout, as text."""

import re
from collections.abc import Callable, Sequence
from typing import TypeAlias

from stepcredit.data.batch import Batch
from stepcredit.data.records import Rollout
from stepcredit.errors import LayoutError
from stepcredit.evidence._texts import records

Answers: TypeAlias = str | Sequence[str | None] | Callable[[Rollout], str | None] | None
_LINE = re.compile(r"^\s*(?:####|(?:Final )?Answer:|A:)[ \t]*(\S.*?)\s*$", re.MULTILINE | re.IGNORECASE)


def final_answer(text: str) -> str | None:
    r"""What stands in the last <answer>..</answer>, else in the last \boxed{..}, else behind the last line start
    "####", "Answer:" or "A:"; None if there is none of these.

    >>> final_answer("so \\boxed{\\frac{1}{2}}. Done"), final_answer("A: 3\nA: 4"), final_answer("4")
    ('\\frac{1}{2}', '4', None)
    """
    tagged = text.rpartition("<answer>")[2].partition("</answer>") if "<answer>" in text else ("", "", "")
    if tagged[1] and tagged[0].strip():
        return tagged[0].strip()
    boxed = _boxed(text)
    if boxed is not None:
        return boxed
    lines = _LINE.findall(text)
    return lines[-1] if lines else None


def _boxed(text: str) -> str | None:
    start = text.rfind("\\boxed{")
    if start < 0:
        return None
    at = start = start + len("\\boxed{")
    depth = 1
    while at < len(text) and depth:
        depth += {"{": 1, "}": -1}.get(text[at], 0)
        at += 1
    return None if depth else text[start : at - 1].strip() or None


def answers_of(batch: Batch, answers: Answers, who: str) -> list[str | None]:
    """[R] the final answer of each rollout: a field of the record, one per rollout, a function of the record, or (None)
    what `final_answer` finds in the text of the last step that has any.

    Raises:
        LayoutError: a list of another length. StepCreditError: no texts.
    """
    if answers is None:
        texts = [[s.text for s in r.steps if s.text] for r in records(batch, who)]
        return [final_answer(t[-1]) if t else None for t in texts]
    if isinstance(answers, str):
        given = [r.extra.get(answers) for r in records(batch, who)]
    elif callable(answers):
        given = [answers(r) for r in records(batch, who)]
    else:
        given = list(answers)
        if len(given) != batch.layout.R:
            raise LayoutError(f"{who}: {len(given)} answers for {batch.layout.R} rollouts")
    return [None if a is None else str(a) for a in given]
