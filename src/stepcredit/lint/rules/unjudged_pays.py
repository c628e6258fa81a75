"""A way out of being judged."""

import numpy as np

from stepcredit.data.layout import Bools, Floats, Ints
from stepcredit.lint.rule import Finding, NotChecked, Rule

RULE = Rule(
    title="steps that are not judged go with failure, and cost nothing",
    bug="huggingface/trl PR#6427: an attempt that failed was punished, not trying was not scored, and the policy was "
    "trained toward doing nothing; `stepcredit bench learn` repeats the collapse",
    why="a step that escapes judgement has no gradient while a wrong one is pushed down: the policy learns to escape, "
    "although that fails the task",
    mend="score a step that should have been judged as a failure (0, not missing), and keep the outcome in the credit",
    severity="warning",
)
FEWEST, CLEARLY = 8, 4.0  # rollouts on either side; standard errors


def unjudged_pays(
    unjudged: Bools, mask: Bools, row: Ints, rollout: Ints, rollout_outcome: Floats, rollout_group: Ints
) -> list[Finding] | NotChecked:
    """Within tasks: do rollouts that hold some steps that are not judged, and some that are, fail more often?"""
    n = rollout_outcome.size
    escaped = np.bincount(rollout[row[unjudged]], minlength=n) > 0
    judged = np.bincount(rollout[row[mask]], minlength=n) > 0
    known = judged & np.isfinite(rollout_outcome)
    if (known & escaped).sum() < FEWEST or (known & ~escaped).sum() < FEWEST:
        return NotChecked(
            f"needs {FEWEST} rollouts with steps that are not judged beside judged ones, and {FEWEST} without"
        )
    group, outcome, at = rollout_group[known], rollout_outcome[known], escaped[known]
    count = np.bincount(group)
    apart = outcome - (np.bincount(group, outcome) / np.maximum(count, 1))[group]
    apart = apart[count[group] > 1]
    at = at[count[group] > 1]
    if at.sum() < 2 or (~at).sum() < 2:
        return NotChecked("needs tasks of several rollouts")
    less = float(apart[~at].mean() - apart[at].mean())
    error = float(np.sqrt(apart[at].var(ddof=1) / at.sum() + apart[~at].var(ddof=1) / (~at).sum()))
    if less <= CLEARLY * error or less <= 1e-9:
        return []
    message = (
        f"the outcome of {int(at.sum())} rollouts with steps that are not judged is lower by {less:.2g} than that of "
        f"the other {int((~at).sum())} rollouts of the same tasks"
    )
    where = np.flatnonzero(known & escaped)
    return [Finding(message, where.size, {"rollout": where, "group": rollout_group[where]})]
