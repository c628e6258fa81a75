"""A baseline: a step by chance."""

import hashlib

import numpy as np

from stepcredit.diagnose.case import Case, Verdict
from stepcredit.diagnose.outcomes import agent_of
from stepcredit.shelf import PlanCard

CARD = PlanCard(
    title="Baseline: a step by chance",
    paper="stepcredit (no paper)",
    bibtex="""@misc{stepcredit, title={stepcredit: step-level credit assignment}, year={2026}}""",
    evidence="derived",
    asks=(),
    needs="nothing",
    cost="nothing",
    departures="None: this is the definition.",
)


def random_step(case: Case, *, seed: int = 0) -> Verdict:
    """A step drawn evenly. The draw hangs on the seed and the names of task and run alone.

    Returns:
        scores: even numbers between 0 and 1, the greatest the step's. confidence: 1 / steps, the chance that it is
        right.
    """
    size = len(case.steps)
    if not size:
        return case.unknown("the run has no steps")
    name = f"{seed}|{case.rollout.group!r}|{case.rollout.rollout!r}".encode("utf-8", "surrogatepass")
    words = np.frombuffer(hashlib.blake2b(name, digest_size=16).digest(), dtype="<u4")
    score = np.random.default_rng(words).random(size)
    step = int(np.argmax(score))
    reason = f"a baseline: one of {size} steps by chance"
    return Verdict("found", score, step=step, agent=agent_of(case, step), reason=reason, confidence=1 / size)
