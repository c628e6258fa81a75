"""Replies that the run does not use: an error that is passed over, answers without support."""

import re
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from stepcredit.diagnose.case import Case, Verdict
from stepcredit.diagnose.features import MISSING, Features, features, shown
from stepcredit.diagnose.methods.other_answer import came_back, conclusion, same
from stepcredit.diagnose.outcomes import agent_of, exposure, succeeded
from stepcredit.evidence._answers import squad
from stepcredit.shelf import PlanCard

CARD = PlanCard(
    title="Ignored observations: what came back is not used, or contradicted",
    paper="stepcredit (no paper); the errors are MAST's FM-2.5 and TRAIL's tool output misinterpretation",
    bibtex="""@misc{stepcredit, title={stepcredit: step-level credit assignment}, year={2026}}""",
    evidence="derived",
    asks=(),
    needs="texts of the steps and what tools answered",
    cost="nothing",
    departures="Rules on words: none of them understands a text.",
)

_CLAIM = re.compile(
    r"\b(?:success(?:ful(?:ly)?)?|done|complete[d]?|finished|resolved|fixed|confirmed|booked|"
    r"(?:has|have) (?:now )?been \w+ed)\b",
    re.I,
)
_ADMITS = re.compile(
    r"\b(?:errors?|fail(?:s|ed|ure)?|unable|unfortunately|sorry|apologi[sz]e|cannot|could not|couldn't|can't|"
    r"did(?: not|n't)|not|instead|retry|again|issue|problem|wrong|invalid|missing)\b",
    re.I,
)
_NUMBER = r"\d[\d,.:/-]*\d"
_FACT = re.compile(
    r"https?://[^\s)\"'>]+|(?<![\w.+-])[\w.+-]++@[\w-]+\.\w+|\b(?=\w*\d)(?=\w*[^\W\d])\w{3,}\b"
    rf"|{_NUMBER}(?:[^\W\d_]++(?!\w))?"
)
_DIGITS = re.compile(_NUMBER)
_WITHIN = re.compile(r"[-,.:/]")  # the year of a date, the host of an address
_LONGEST, _LONGEST_ANSWER = 50_000, 200
_STRONG = 0.5


class Finding(NamedTuple):
    """One rule's find. strength: 1 or less. error: a name of `diagnose.errors`."""

    step: int
    strength: float
    error: str
    words: str


def ignored_observation(case: Case, *, truth: bool = True) -> Verdict:
    """The first of the strongest finds of four rules on words.

        1     a call that failed is made again unchanged
        1     the file's right answer came back at some step (`other_answer.came_back`), and the run's answer does not
              say it (a run known to have succeeded is left alone)
        3/4   after a failed call the next step says that it worked, and nothing of an error
        s/2   share s of the numbers, addresses and ids in the run's answer stand nowhere before it, as whole words; it
              counts only where there are two or more, tools answered, and s = 1

    The run's answer is what the last step with a text or a call marks as one (`other_answer`), else what it says
    without its thoughts. Names are not looked for: no rule on words tells them from other words.
    The last rule cannot tell a fact made up from one that was worked out: it is weak, and says so.

    Args:
        truth: read the right answer where the file has one; False: judge by the run alone.

    Returns:
        scores: strength of the strongest find at each step. confidence: the probability of causation, over the other
        runs, of such a find (`outcomes.Exposure`); None where no other run has one.
    """
    if not case.steps:
        return case.unknown("the run has no steps")
    read = features(case)
    if not any(read.seen) and not any(read.failures):
        return case.unknown("what came back to the steps is not in the file")
    found = _finds(case, truth)
    score = np.zeros(len(case.steps))
    for one in found:
        score[one.step] = max(score[one.step], one.strength)
    remarks = {f.step: f.words for f in sorted(found, key=lambda f: f.strength)}
    strong = [f for f in found if f.strength >= _STRONG]
    if not strong:
        why = "no rule finds an observation that was ignored"
        return Verdict("clean", score, reason=why, remarks=remarks, evidence={"finds": len(found)})
    worst = min(strong, key=lambda f: (-f.strength, f.step))
    seen = exposure(case, f"ignored {truth}", lambda other: any(f.strength >= _STRONG for f in _finds(other, truth)))
    return Verdict(
        "found",
        score,
        step=worst.step,
        agent=agent_of(case, worst.step),
        error=worst.error,
        reason=worst.words + seen.words("an ignored observation"),
        confidence=seen.blame,
        remarks=remarks,
        evidence={"finds": [f._asdict() for f in found[:50]], "others": seen._asdict()},
    )


def _finds(case: Case, truth: bool) -> list[Finding]:
    read = features(case)
    return [*_same_again(case, read), *_claims(case, read), *_answer(case, read, truth), *_unsupported(case, read)]


def _same_again(case: Case, read: Features) -> Iterable[Finding]:
    for t in range(1, len(case.steps)):
        failure = read.failures[t - 1]
        if failure is not None and case.steps[t].tool_calls and read.done[t] == read.done[t - 1]:
            yield Finding(t, 1.0, "ignored_observation", f"the call that had just failed ({failure.words}) again")


def _claims(case: Case, read: Features) -> Iterable[Finding]:
    for t in range(1, len(case.steps)):
        failure, text = read.failures[t - 1], case.steps[t].text
        if failure is None or failure.kind == MISSING or not text or case.steps[t].tool_calls:
            continue
        claim = _CLAIM.search(text)
        if claim and not _ADMITS.search(text):
            near = shown(text[max(claim.start() - 30, 0) : claim.end() + 30])
            yield Finding(t, 0.75, "false_success", f"the call before failed ({failure.words}), and it says: {near!r}")


def _answer(case: Case, read: Features, truth: bool) -> Iterable[Finding]:
    answer, ends = case.truth if truth else None, conclusion(case)
    if not answer or ends is None or len(answer.strip()) > _LONGEST_ANSWER or succeeded(case):
        return
    last, said = ends
    if _says(said[:_LONGEST], answer.strip()):
        return
    at = came_back(case, answer, last)
    if at is not None:
        what = f"the right answer, {shown(answer, 40)!r}, came back at step {at}; the run's answer does not say it"
        yield Finding(last, 1.0, "ignored_observation", what)


def _says(text: str, answer: str) -> bool:
    """Whether a text says an answer, as words or as it is written: "C$5" says "$5", and "15" does not say "5"."""
    if same(squad(text), squad(answer)):
        return True
    before = r"(?<!\w)(?<!\d[.,])" if re.match(r"\w", answer) else ""
    after = r"(?!\w|[.,]\d)" if re.search(r"\w\Z", answer) else ""
    return re.search(before + re.escape(answer) + after, text, re.I) is not None


def _unsupported(case: Case, read: Features) -> Iterable[Finding]:
    ends = conclusion(case)
    if ends is None or not any(read.seen[: ends[0]]):
        return
    last, said = ends
    facts = list(dict.fromkeys(_FACT.findall(said[:_LONGEST])))
    if len(facts) < 2:
        return
    rollout = case.rollout
    before = [rollout.task, *(m.content for m in rollout.context), *read.seen[:last]]
    before += [part for s in case.steps[:last] for part in (s.text, *(f"{c.arguments}" for c in s.tool_calls))]
    known = {f for text in before if text for f in _found(text[:_LONGEST])}
    known |= {part for f in known for part in _WITHIN.split(f)}
    plain = {f.replace(",", "") for f in known}
    lacking = [f for f in facts if f.replace(",", "") not in plain]
    if lacking:
        share = len(lacking) / len(facts)
        what = (
            f"{len(lacking)} of {len(facts)} numbers, addresses and ids in the answer stand nowhere before it, as "
            f"{lacking[0]!r}"
        )
        yield Finding(last, share / 2, "unsupported_claim", what)


def _found(text: str) -> list[str]:
    """What of a text supports: its facts, and its numbers without the letters behind them (19 of 19th)."""
    return _FACT.findall(text) + _DIGITS.findall(text)
