"""A baseline: always the same step."""

import numpy as np

from stepcredit.diagnose.case import Case, Verdict
from stepcredit.diagnose.outcomes import agent_of
from stepcredit.shelf import PlanCard

CARD = PlanCard(
    title="Baseline: always the same step",
    paper="stepcredit (no paper)",
    bibtex="""@misc{stepcredit, title={stepcredit: step-level credit assignment}, year={2026}}""",
    evidence="derived",
    asks=(),
    needs="nothing",
    cost="nothing",
    departures="None: this is the definition.",
)


def constant(case: Case, *, step: int = 1) -> Verdict:
    """The step of this number, or the last (first) one of a run that is too short for it.

    Args:
        step: from 0; below 0: from the end, -1 is the last.

    Returns:
        scores: 1 for the step, less with distance from it: 1 / (1 + distance). No confidence: it looks at nothing.
    """
    size = len(case.steps)
    if not size:
        return case.unknown("the run has no steps")
    at = min(max(step + size * (step < 0), 0), size - 1)
    return Verdict(
        "found",
        1 / (1 + np.abs(np.arange(size) - at)),
        step=at,
        agent=agent_of(case, at),
        reason=f"a baseline: always step {step}",
    )
