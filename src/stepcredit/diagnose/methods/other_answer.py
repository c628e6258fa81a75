"""Another answer than the runs that succeeded gave."""

import re
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from stepcredit.data.records import Step
from stepcredit.diagnose.case import Case, Verdict
from stepcredit.diagnose.features import features, kept, shown
from stepcredit.diagnose.outcomes import agent_of, succeeded
from stepcredit.evidence._answers import final_answer, squad
from stepcredit.shelf import PlanCard

CARD = PlanCard(
    title="Another answer than the runs that succeeded gave",
    paper="stepcredit (no paper); equal answers: the normal form of SQuAD's script, arXiv:1606.05250",
    bibtex="""@misc{stepcredit, title={stepcredit: step-level credit assignment}, year={2026}}""",
    evidence="derived",
    asks=(),
    needs="a run of the task that succeeded; answers short or marked: <answer>, \\boxed, Answer:, a last call",
    cost="nothing",
    departures="None: this is the definition.",
)

_FINISH = re.compile(r"(?:finish|submit|final|complete)(?:[_ -]?\w+)?|answer", re.I)
_REACT = re.compile(r"\b(?:finish|submit|answer)\s*\[([^\[\]\n]+)\]\s*$", re.I)
_THOUGHT = re.compile(r"</think(?:ing)?>")
_THINKS = re.compile(r"<think(?:ing)?>")
_SHORT, _TELLING = 8, 4
_LONGEST = 50_000


def other_answer(case: Case) -> Verdict:
    """The last step, if its answer is none of those that led to success.

    An answer is what the last step with a text or a call puts into <answer>, \\boxed, behind "Answer:", into the only
    text of a call to finish; or all of its text, if that has at most eight words and all steps before it call tools.
    Text up to </think> is no part of it, where text follows. Two are the same if one holds the other, word by word in
    the normal form of SQuAD's script. The run has failed; so the answer is wrong, and the step that gave it. What led
    to it may have gone wrong before; the reason says where the answer that succeeded had come back by then
    (`came_back`).

    Returns:
        scores: 1 for the last step, NaN else: nothing is said of them.
        confidence: 1 / S: that the answer is wrong is sure, which of the S steps led to it is not.
    """
    if succeeded(case):
        return Verdict("clean", np.full(len(case.steps), np.nan), reason="the run succeeded")
    answers, step = _answers(case), _last(case)
    mine = answers[case.index]
    right = Counter(one for one, won in zip(answers, case.group.succeeded.tolist(), strict=True) if one and won)
    if case.rollout.outcome is None or mine is None or step is None:
        return case.unknown("the run's answer cannot be made out" if mine is None else "whether the run failed is open")
    if not right:
        return case.unknown("no other run succeeded with an answer that can be made out")
    if any(same(mine.plain, one.plain) for one in right):
        return case.unknown(f"its answer, {shown(mine.text, 40)!r}, is one that succeeded")
    best, runs = right.most_common(1)[0]
    came = came_back(case, best.text, step)
    score = np.full(len(case.steps), np.nan)
    score[step] = 1.0
    return Verdict(
        "found",
        score,
        step=step,
        agent=agent_of(case, step),
        error="wrong_turn" if came is None else "ignored_observation",
        reason=f"its answer is {shown(mine.text, 60)!r}; {runs} of {right.total()} runs that succeeded answered "
        f"{shown(best.text, 60)!r}" + ("" if came is None else f", which had come back at step {came}"),
        confidence=1 / len(case.steps),
        evidence={"answer": mine.text, "answers": [one.text for one, _ in right.most_common(20)], "came_back": came},
    )


def came_back(case: Case, answer: str, before: int) -> int | None:
    """The first step before this one whose reply holds an answer; None: none does, or it would say nothing.

    It says nothing where the answer stands in what the run was asked, has fewer than four characters in the normal
    form, or is one word in small letters, in the answer or in the reply: such words are everywhere.
    """
    plain = squad(answer)
    if len(plain) < _TELLING or (" " not in plain and _common(answer)):
        return None
    asked = (case.task, *(m.content for m in case.rollout.context))
    if any(text and _holds(squad(text), plain) for text in asked):
        return None
    seen = features(case).seen[:before]
    return next((t for t, text in enumerate(seen) if text and _tells(text[:_LONGEST], plain)), None)


def conclusion(case: Case) -> tuple[int, str] | None:
    """The last step with a text or a call, and its answer; if none is marked, its text without thoughts. None: it calls
    another tool, or only thinks."""
    step = _last(case)
    if step is None:
        return None
    found = _answer(case.steps, step)
    if found is None and not case.steps[step].tool_calls:
        spoken = _spoken(case.steps[step].text or "")
        found = None if _THINKS.search(spoken) else spoken
    return (step, found) if found else None


def same(one: str, other: str) -> bool:
    """Whether one of two answers in the normal form holds the other."""
    return _holds(one, other) or _holds(other, one)


class Answer(NamedTuple):
    """An answer in its normal form, and the words in which a run of the task first gave it."""

    plain: str
    text: str


def _answers(case: Case) -> list[Answer | None]:
    """[R] the answer of each run of the task."""
    group = case.group

    def made() -> list[Answer | None]:
        last = [(r, _last(Case(group, i))) for i, r in enumerate(group.rollouts)]
        texts = [None if t is None else _answer(r.steps, t) for r, t in last]
        plain = [squad(text) if text else "" for text in texts]
        first: dict[str, Answer] = {}
        return [
            first.setdefault(p, Answer(p, text)) if text and p else None for p, text in zip(plain, texts, strict=True)
        ]

    found: list[Answer | None] = kept(group, "answers", made)
    return found


def _last(case: Case) -> int | None:
    """The last step with a text or a call."""
    return next((t for t in range(len(case.steps) - 1, -1, -1) if case.steps[t].text or case.steps[t].tool_calls), None)


def _answer(steps: Sequence[Step], last: int) -> str | None:
    step = steps[last]
    if step.tool_calls:
        given = [v for c in step.tool_calls if _FINISH.fullmatch(c.name) for v in _texts(c.arguments)]
        return given[0] if len(given) == 1 else None
    text = _spoken(step.text or "")
    react = _REACT.search(text)
    found = react[1] if react else final_answer(text)
    if found or step.action is not None or not all(s.tool_calls for s in steps[:last]):
        return found  # short texts of an agent that calls no tools are what it does
    return text if len(text.split()) <= _SHORT and not _THINKS.search(text) else None


def _spoken(text: str) -> str:
    """A text without the thoughts before it; all of it where nothing follows them."""
    whole = text.strip()[-_LONGEST:]
    return _THOUGHT.split(whole)[-1].strip() or whole


def _texts(arguments: object) -> list[str]:
    values = arguments.values() if isinstance(arguments, dict) else [arguments]
    return [str(v) for v in values if isinstance(v, str | int | float) and not isinstance(v, bool)]


def _holds(text: str, answer: str) -> bool:
    """Whether a text holds an answer word by word, both in the normal form."""
    return f" {answer} " in f" {text} "


def _tells(text: str, plain: str) -> bool:
    """Whether a reply holds an answer in the normal form, and not as a common word."""
    if not _holds(squad(text), plain):
        return False
    return " " in plain or any(squad(word) == plain and not _common(word) for word in text.split())


def _common(word: str) -> bool:
    letters = "".join(c for c in word if c.isalnum())
    return letters.isalpha() and letters.islower()
