"""One question about a whole run, or about each part of one that is too long for one question."""

import re
from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np

from stepcredit.diagnose._judging import (
    Judge,
    Question,
    Said,
    blamed,
    block,
    fields,
    most_questions,
    not_judged,
    step_in,
    told_in,
)
from stepcredit.diagnose._log import Log, prompt_of
from stepcredit.diagnose.case import Case, Verdict
from stepcredit.diagnose.errors import ERRORS
from stepcredit.evidence._prompts import Part, Unreadable, spoken
from stepcredit.llm.requests import Failed, Plan

Form = Literal["block", "lines"]
Ask = Callable[[int, int], Question[Said]]

_BLOCK = """
First think it through. Then end with your answer in this form:
<TAG>
step: NUMBER
agent: NAME
error: TYPE
reason: WORDS
</TAG>
NUMBER is the number of the one step{none}. NAME is who took it. WORDS say what was wrong and what came of it, in at \
most {words} words. TYPE is one of these words:
{types}"""
_TYPES = "\n".join(f"- {e.name}: {e.doc}" for e in ERRORS.values() if e.name not in ("wrong_turn", "carried_error"))
_LINES = """
Answer in this form, and add nothing to it:
Agent Name: NAME
Step Number: NUMBER
Reason for Mistake: WORDS"""


def whole(log: Log, judge: Judge, ask: Ask, *, as_named: bool = False) -> Plan[Verdict]:
    """One question per window of the log. The earliest step that is blamed is the decisive one; a window that could not
    be read leaves the steps behind it open, as an earlier one may be in it."""
    windows = log.windows()
    said = yield from judge.ask([ask(first, last) for first, last in windows])
    told: dict[str, Any] = {}
    if len(windows) > 1:
        parts = zip(windows, said, strict=True)
        told["windows"] = [[a, b, x.reason if isinstance(x, Failed) else x.step] for (a, b), x in parts]
    scores = np.zeros(len(log.case.steps))
    for (first, last), one in zip(windows, said, strict=True):
        if isinstance(one, Failed):
            scores[first : last + 1] = np.nan
        elif one.step is not None:
            scores[one.step] = 1.0
    for one in said:
        if isinstance(one, Failed):
            return not_judged(log, one.reason, scores, **told)
        if one.step is not None:
            return blamed(log, one, scores, as_named=as_named, **told)
    return blamed(log, said[0] if isinstance(said[0], Said) else Said(None), scores, **told)


def question(
    log: Log, first: int, last: int, task: str, *, form: Form = "block", words: int = 100, more: Sequence[Part] = ()
) -> Question[Said]:
    """Asks which step of these is the decisive error.

    Args:
        task: what is to be done, in words. form: "block", between tags; "lines", three labelled lines, as in the code
            of Who&When. words: most of the reason. more: texts to be quoted before the steps.
    """
    size = len(log.case.steps)
    whole_run = first == 0 and last == size - 1
    shown = f" Shown are steps {first} to {last} of a run of {size} steps; the others are judged apart."
    none = ", or none if no step shown is to blame"
    end = _LINES if form == "lines" else _BLOCK.format(none=none, types=_TYPES, words=words)
    parts = [*log.head(), *more, *log.parts(first, last)]
    prompt, tag = prompt_of(task + log.outcome() + ("" if whole_run else shown), parts, end.strip())
    if form == "lines":
        return Question(prompt, lambda reply: read_lines(reply, first, last))
    return Question(prompt, lambda reply: read_block(reply, tag, first, last))


def read_block(reply: str, tag: str, first: int, last: int) -> Said:
    """What stands in the judge's tag.

    Raises:
        Unreadable: no such answer, or a step that was not shown.
    """
    found = fields(block(reply, tag))
    error = (told_in(found.get("error")) or "").lower().replace(" ", "_").replace("-", "_")
    return Said(
        step_in(found.get("step"), first, last),
        told_in(found.get("agent")),
        error if error in ERRORS else None,
        told_in(found.get("reason")),
    )


def most_per_window(case: Case, **options: Any) -> dict[str, int]:
    """The most that one question per window and vote spends on a run."""
    log = Log(case, cut=options["cut"], limit=options["limit"])
    return most_questions(len(log.windows()), options)


_AGENT = re.compile(r"Agent Name:\s*([\w_]+)", re.IGNORECASE)
_NUMBER = re.compile(r"Step Number:\s*(\d+)", re.IGNORECASE)
_REASON = re.compile(r"Reason for Mistake:\s*(.+)", re.IGNORECASE | re.DOTALL)


def read_lines(reply: str, first: int, last: int) -> Said:
    """The first agent and the first step named behind their labels, as the code of Who&When finds them: the agent ends
    where its first word ends.

    Raises:
        Unreadable: no step of those shown.

    >>> read_lines("Agent Name: Web Surfer\\nStep Number: **4**", 0, 9)
    Traceback (most recent call last):
    stepcredit.evidence._prompts.Unreadable: it names no step
    >>> read_lines("Agent Name: Web Surfer\\nStep Number: 4\\nReason for Mistake: misread", 0, 9)
    Said(step=4, agent='Web', error=None, reason='misread')
    """
    said = spoken(reply)
    agent, number, reason = (p.search(said) for p in (_AGENT, _NUMBER, _REASON))
    if number is None:
        raise Unreadable("it names no step")
    return Said(step_in(number[1][:9], first, last), agent and agent[1], None, reason and reason[1].strip())
