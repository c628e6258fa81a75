"""Tools that failed, and whether the run got over it."""

import re
from collections import Counter
from collections.abc import Hashable
from typing import NamedTuple

import numpy as np

from stepcredit.data.records import Step, observed, replies_of
from stepcredit.diagnose.case import Case, Verdict
from stepcredit.diagnose.features import MISSING, Failure, answers, features, output, printed, quiet
from stepcredit.diagnose.outcomes import agent_of, exposure
from stepcredit.shelf import PlanCard

CARD = PlanCard(
    title="Failed tools that the run did not get over",
    paper="stepcredit (no paper); the errors are TRAIL's system execution errors, arXiv:2505.08638",
    bibtex="""@misc{stepcredit, title={stepcredit: step-level credit assignment}, year={2026}}""",
    evidence="derived",
    asks=(),
    needs="what tools answered: replies of the steps, or observations",
    cost="nothing",
    departures="None: this is the definition.",
)


_OPEN = 0.75
_USED = 0.25  # half of what `combined` gives to a member that states no confidence
_TOKEN = re.compile(r"https?://[^\s)\"'>\]]+|(?<![\w.])\d[\d,.]{3,}\d")
_TRACE = re.compile(r"^Traceback \(most recent call last\).*?(?:^\S*(?:Error|Exception)\b[^\n]*|\Z)", re.M | re.S)


class _Fate(NamedTuple):
    """What became of a failure. how: in words. tool: that which never worked in several tries; None = no such one."""

    failure: Failure
    weight: float
    how: str
    tool: str | None = None

    @property
    def words(self) -> str:
        found = "found nothing: " if self.failure.kind == MISSING else ""
        return f"{found}{self.failure.words} ({self.how})"


def tool_errors(case: Case) -> Verdict:
    """The first failure that no working call followed; one that is more than "nothing found", if there is any.

    A call failed if the record says so (`Message.error`), else if the words of the reply do: an exit code other than 0,
    a traceback, an HTTP status of 400 or more, an error, nothing found. Among agents that run each other's code, a
    message that is the output of a program belongs to the message before it. A call of the model that failed
    (`Origin.error`) is one too, of the error type "environment_failed"; a tool that found nothing did not fail, and is
    of the type "poor_query". A failure is got over ("recovered") if the same tool works later, and gone around if
    another one does; a tool that was tried in several ways and failed each time is not gone around.

    Returns:
        scores: 1 for the step blamed, 3/4 for other failures that nothing working followed, 1/2 gone around, 1/4
        recovered; half of that for "nothing found", which may be the truth; 0 else.
        confidence: the probability of causation, over the other runs, of a failure that was not got over
        (`outcomes.Exposure`); None where no other run has one. Half of it (1/4 for None) where the tool printed
        results all the same, and the next message uses them: it repeats an address or a long number that is new.
    """
    if not case.steps:
        return case.unknown("the run has no steps")
    if not any(map(_called, case.steps)) and not any(features(case).failures) and not any(map(_ran, case.steps)):
        return case.unknown("no tool was called, or what tools answered is not in the file")
    fate = _fates(case)
    score = np.zeros(len(case.steps))
    for t, one in fate.items():
        score[t] = one.weight / (2 if one.failure.kind == MISSING else 1)
    remarks = {t: one.words for t, one in fate.items()}
    evidence = {
        "failures": [
            {"step": t, "kind": one.failure.kind, "words": one.failure.words, "after": one.how}
            for t, one in list(fate.items())[:50]
        ],
        "failed": len(fate),
    }
    left = [t for t, one in fate.items() if one.weight == _OPEN]
    if not left:
        return Verdict("clean", score, reason=_harmless(fate), remarks=remarks, evidence=evidence)
    step = min(left, key=lambda t: (fate[t].failure.kind == MISSING, fate[t].tool is not None, t))
    score[step] = 1.0
    seen = exposure(case, "failed tool", lambda other: any(one.weight == _OPEN for one in _fates(other).values()))
    used = _used(case, step)
    error, reason = _told(case, fate, step, used)
    return Verdict(
        "found",
        score,
        step=step,
        agent=agent_of(case, step),
        error=error,
        reason=reason + seen.words("such a failure"),
        confidence=seen.blame if not used else _USED if seen.blame is None else seen.blame / 2,
        remarks=remarks,
        evidence={**evidence, "others": seen._asdict()},
    )


def _told(case: Case, fate: dict[int, _Fate], step: int, used: bool) -> tuple[str, str]:
    """The type of error, and the reason in words."""
    failure, _, how, tool = fate[step]
    origin = case.steps[step].origin
    empty = failure.kind == MISSING
    if origin is not None and origin.error:
        error, what = "environment_failed", f"the call of the model failed (error: {failure.words})"
    elif empty and not failure.words.lower().lstrip(" >*-").startswith("nothing happens"):
        error, what = "poor_query", f"the tool found nothing ({failure.words})"
    elif empty:
        error, what = "tool_failed", f"the call did nothing ({failure.words})"
    else:
        error, what = "tool_failed", f"the tool failed ({failure.kind}: {failure.words})"
    if tool is not None:
        return error, f"{what}: {how}"
    if used:
        what += ", though it printed results, which were used,"
    return error, f"{what} and {_since(case, fate, step)}"


def _since(case: Case, fate: dict[int, _Fate], step: int) -> str:
    """What was called after a failure that nothing working followed."""
    made = [t for t in range(step + 1, len(case.steps)) if t in fate or case.steps[t].tool_calls]
    if not made:
        return _end(case, step)
    failed = sum(t in fate for t in made)
    calls = "the call" if len(made) == 1 else f"the {len(made)} calls"
    if not failed:
        return f"what {calls} after it brought is not known"
    if failed < len(made):
        return f"of {calls} after it {failed} failed, and what came of the others is not known"
    empty = sum(fate[t].failure.kind == MISSING for t in made)
    if empty == len(made):
        return f"{calls} after it found nothing" + " either" * (fate[step].failure.kind == MISSING)
    return f"{calls} after it failed {'or found nothing' if empty else 'too'}"


def _end(case: Case, step: int) -> str:
    """That no call was made after a step, and how the run went on."""
    results = features(case).results
    after = step + 1
    while after < len(results) and results[after]:
        after += 1
    more = len(results) - after
    return f"no call was made after it ({more} more step{'s' * (more > 1)})" if more else "the run ended there"


def _harmless(fate: dict[int, _Fate]) -> str:
    empty = sum(one.failure.kind == MISSING for one in fate.values())
    failed = len(fate) - empty
    said = f"all of {failed} failed calls were got over or gone around" if failed > 1 else "no tool failed"
    if failed == 1:
        said = "the one failed call was got over or gone around"
    if not empty:
        return said
    return f"{said}; {empty} call{'s' * (empty > 1)} found nothing, and later ones worked"


def _fates(case: Case) -> dict[int, _Fate]:
    """Failed step -> its failure, its weight, what became of it."""
    failures, steps = features(case).failures, case.steps
    out: dict[int, _Fate] = {}
    works: dict[str | None, int] = {}
    latest, called = -1, False
    for t in range(len(steps) - 1, -1, -1):
        failure = failures[t]
        if failure is None:
            called = called or bool(steps[t].tool_calls)
            if _called(steps[t]) or (t + 1 < len(steps) and _ran(steps[t + 1])):
                latest = t
                works.update((name, t) for name in _names(steps[t]))
            continue
        same = min((works[name] for name in _names(steps[t]) if name in works), default=-1)
        empty = failure.kind == MISSING
        if same >= 0:
            how = f"the same tool answered at step {same}" if empty else f"recovered at step {same}"
            out[t] = _Fate(failure, 0.25, how + ", which printed nothing" * _quiet(case, same))
        elif latest >= 0:
            out[t] = _Fate(failure, 0.5, f"another tool worked at step {latest}")
        else:
            out[t] = _Fate(failure, _OPEN, "nothing worked after it" if called else _end(case, t))
        called = True
    for name, times in _never(case).items():
        if name not in works:
            for t in times:
                if out[t].weight == 0.5:
                    how = f"{name} failed {'both' if len(times) == 2 else f'all {len(times)}'} times"
                    out[t] = _Fate(out[t].failure, _OPEN, how, name)
    return dict(sorted(out.items()))


def _never(case: Case) -> dict[str, list[int]]:
    """Tools that failed more than once, called in different ways, and never but found nothing: where.

    Of steps that call several tools nothing is said, nor of the same call over and over: a test that goes on failing
    tells of other steps.
    """
    failed: dict[str, list[int]] = {}
    ways: dict[str, set[Hashable]] = {}
    empty: Counter[str] = Counter()
    for t, (step, failure) in enumerate(zip(case.steps, features(case).failures, strict=True)):
        if failure is not None and len(step.tool_calls) == 1:
            name = step.tool_calls[0].name
            failed.setdefault(name, []).append(t)
            ways.setdefault(name, set()).add(features(case).done[t])
            empty[name] += failure.kind == MISSING
    return {name: times for name, times in failed.items() if len(ways[name]) > 1 and not empty[name]}


def _used(case: Case, step: int) -> bool:
    """Whether a failed call had printed something new, an address or a long number, that the next message repeats."""
    read, steps = features(case), case.steps
    spoken = step + 1 < len(steps) and observed(steps[step]) is None and read.results[step + 1]
    text = (steps[step + 1].text if spoken else observed(steps[step])) or ""
    after = step + 1 + spoken
    if after >= len(steps) or not steps[after].text:
        return False
    given = [case.task or "", *(m.content or "" for m in case.rollout.context)]
    known = [*given, *(part for s in steps[: step + 1] for part in _parts(s))]
    before = {_bare(x) for part in known for x in _TOKEN.findall(part)}
    new = {_bare(x) for x in _TOKEN.findall(_TRACE.sub("", text))} - before
    return any(_bare(x) in new for x in _TOKEN.findall(steps[after].text or ""))


def _bare(token: str) -> str:
    return token.rstrip(".,;:/").replace(",", "")


def _parts(step: Step) -> list[str]:
    return [step.text or "", *(str(call.arguments) for call in step.tool_calls)]


def _names(step: Step) -> set[str | None]:
    return {c.name for c in step.tool_calls} or {None}


def _called(step: Step) -> bool:
    """Whether a tool answered to the step."""
    if step.replies:
        return any(answers(m) or m.error is not None for m in replies_of(step))
    return step.observation is not None and (bool(step.tool_calls) or step.action is not None)


def _quiet(case: Case, step: int) -> bool:
    """Whether what a step ran printed nothing."""
    seen = observed(case.steps[step])
    if seen is None and step + 1 < len(case.steps):
        seen = case.steps[step + 1].text
    return seen is not None and quiet(seen)


def _ran(step: Step) -> bool:
    """Whether a step is the output of a program that worked."""
    return not step.tool_calls and printed(step.text) and output(step) is None
