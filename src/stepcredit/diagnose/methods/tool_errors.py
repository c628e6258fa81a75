"""Tools that failed, and whether the run got over it."""

import numpy as np

from stepcredit.data.records import Step
from stepcredit.diagnose.case import Case, Verdict
from stepcredit.diagnose.features import MISSING, Failure, features, output
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


def tool_errors(case: Case) -> Verdict:
    """The first failure that no working call followed; one that is more than "nothing found", if there is any.

    A call failed if the record says so (`Message.error`), else if the words of the reply do: an exit code other than 0,
    a traceback, an HTTP status of 400 or more, an error, nothing found. Among agents that run each other's code, a
    message that is the output of a program belongs to the message before it. A call of the model that failed
    (`Origin.error`) is one too, of the error type "environment_failed". A failure is got over ("recovered") if the
    same tool works later, and gone around if another one does.

    Returns:
        scores: 1 for the step blamed, 3/4 for other failures that nothing working followed, 1/2 gone around, 1/4
        recovered; half of that for "nothing found", which may be the truth; 0 else.
        confidence: the probability of causation, over the other runs, of a failure that was not got over
        (`outcomes.Exposure`); None where no other run has one.
    """
    if not case.steps:
        return case.unknown("the run has no steps")
    failures = features(case).failures
    if not any(map(_called, case.steps)) and not any(failures):
        return case.unknown("no tool was called, or what tools answered is not in the file")
    fate = _fates(case)
    score = np.zeros(len(case.steps))
    remarks: dict[int, str] = {}
    for t, (failure, weight, how) in fate.items():
        score[t] = weight / (2 if failure.kind == MISSING else 1)
        remarks[t] = f"{failure.words} ({how})"
    evidence = {
        "failures": [
            {"step": t, "kind": f.kind, "words": f.words, "after": how} for t, (f, _, how) in list(fate.items())[:50]
        ],
        "failed": len(fate),
    }
    open_ = sorted((t for t, (_, w, _) in fate.items() if w == 0.75), key=lambda t: (fate[t][0].kind == MISSING, t))
    if not open_:
        why = "no tool failed" if not fate else f"all of {len(fate)} failed calls were got over or gone around"
        return Verdict("clean", score, reason=why, remarks=remarks, evidence=evidence)
    step = open_[0]
    score[step] = 1.0
    seen = exposure(case, "failed tool", lambda other: any(w == 0.75 for _, w, _ in _fates(other).values()))
    failure = fate[step][0]
    origin = case.steps[step].origin
    model = origin is not None and bool(origin.error)
    more = f", nor did the {len(open_) - 1} calls that failed after it" * (len(open_) > 1)
    return Verdict(
        "found",
        score,
        step=step,
        agent=agent_of(case, step),
        error="environment_failed" if model else "tool_failed",
        reason=f"the {'call of the model' if model else 'tool'} failed ({failure.kind}: {failure.words}) and no call "
        f"worked after it{more}" + seen.words("such a failure"),
        confidence=seen.blame,
        remarks=remarks,
        evidence={**evidence, "others": seen._asdict()},
    )


def _fates(case: Case) -> dict[int, tuple[Failure, float, str]]:
    """Failed step -> its failure, its weight, what became of it."""
    failures, steps = features(case).failures, case.steps
    out: dict[int, tuple[Failure, float, str]] = {}
    works: dict[str | None, int] = {}
    latest = -1
    for t in range(len(steps) - 1, -1, -1):
        failure = failures[t]
        if failure is None:
            if _called(steps[t]) or (t + 1 < len(steps) and _ran(steps[t + 1])):
                latest = t
                works.update((name, t) for name in _names(steps[t]))
            continue
        same = min((works[name] for name in _names(steps[t]) if name in works), default=-1)
        if same >= 0:
            out[t] = failure, 0.25, f"recovered at step {same}"
        elif latest >= 0:
            out[t] = failure, 0.5, f"another tool worked at step {latest}"
        else:
            out[t] = failure, 0.75, "nothing worked after it"
    return dict(sorted(out.items()))


def _names(step: Step) -> set[str | None]:
    return {c.name for c in step.tool_calls} or {None}


def _called(step: Step) -> bool:
    """Whether a tool answered to the step."""
    if step.replies:
        return any(m.role == "tool" or m.call is not None or m.error is not None for m in step.replies)
    return step.observation is not None and (bool(step.tool_calls) or step.action is not None)


def _ran(step: Step) -> bool:
    """Whether a step is the output of a program that worked."""
    text = (step.text or "")[:60].lstrip().lower()
    return text.startswith(("exitcode", "exit code")) and output(step) is None
