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
_SHORT, _TELLING = 8, 4
_LONGEST = 50_000


def other_answer(case: Case) -> Verdict:
    """The last step, if its answer is none of those that led to success.

    An answer is what the last step with a text or a call puts into <answer>, \\boxed, behind "Answer:", into the only
    text of a call to finish; or its whole text, if that has at most eight words and all steps before it call tools. Two
    are the same if one holds the other, word by word in the normal form of SQuAD's script. The run has failed; so the
    answer is wrong, and the step that gave it. What led to it may have gone wrong before; the reason says where the
    answer that succeeded, if it has four characters or more, had come back by then.

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
    if any(_holds(mine.plain, one.plain) or _holds(one.plain, mine.plain) for one in right):
        return case.unknown(f"its answer, {shown(mine.text, 40)!r}, is one that succeeded")
    best, runs = right.most_common(1)[0]
    seen = features(case).seen[:step] if len(best.plain) >= _TELLING else ()
    came = next((t for t, words in enumerate(seen) if words and _holds(squad(words[:_LONGEST]), best.plain)), None)
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
    text = (step.text or "").strip()[-_LONGEST:]
    react = _REACT.search(text)
    found = react[1] if react else final_answer(text)
    if found or step.action is not None or not all(s.tool_calls for s in steps[:last]):
        return found  # short texts of an agent that calls no tools are what it does
    return text if len(text.split()) <= _SHORT else None


def _texts(arguments: object) -> list[str]:
    values = arguments.values() if isinstance(arguments, dict) else [arguments]
    return [str(v) for v in values if isinstance(v, str | int | float) and not isinstance(v, bool)]


def _holds(text: str, answer: str) -> bool:
    """Whether a text holds an answer word by word, both in the normal form."""
    return f" {answer} " in f" {text} "
