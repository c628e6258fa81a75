"""Credit that does not average 0."""

import numpy as np

from stepcredit.data.layout import Floats, Ints
from stepcredit.lint.rule import Declared, Finding, NotChecked, Rule

RULE = Rule(
    title="mean credit drifts away from 0",
    bug="langfengQ/verl-agent#264: with a same-state term the batch mean of the advantage rose from 0.2 instead of "
    "staying at 0",
    why="all actions are pushed up (or down) at once: entropy falls faster than the policy improves",
    mend="center each term over rollouts, not over step rows; check which rollouts the baseline counts",
    severity="info",
)
LEAST = 20


def mean_drift(
    credit: Floats,
    group_mean: Floats,
    group_centered: Ints,
    group_size: Ints,
    group_live: Ints,
    claims: frozenset[str],
    method: Declared | None = None,
) -> list[Finding] | NotChecked:
    told = group_centered != 0
    promised = "centered" in claims or (method is not None and "centered" in method.holds)
    if promised:
        # A rollout without tokens may count in the mean: `rejected_in_baseline` looks at those tasks.
        away = np.flatnonzero((group_centered == -1) & (group_live == group_size))
        if away.size == 0:
            return []
        message = (
            f"credit should average 0 over the rollouts of a task and does not in {away.size} of {int(told.sum())} "
        )
        message += f"(mean {np.nanmean(group_mean[away]):.4g}, largest {np.abs(group_mean[away]).max():.4g})"
        return [Finding(message, away.size, {"group": away}, "warning")]
    n = int(told.sum())
    if n < LEAST:
        return NotChecked(f"needs at least {LEAST} tasks with credit, or the claim 'centered'")
    means = group_mean[told]
    mean, error = float(means.mean()), float(means.std(ddof=1) / np.sqrt(n))
    width = float(np.sqrt(np.nanmean(credit**2)))
    if abs(mean) <= max(6 * error, 0.1 * width):
        return []
    message = f"mean credit of a task is {mean:+.4g} over {n} tasks "
    message += f"({abs(mean) / max(error, 1e-12):.0f} standard errors; typical size of credit {width:.4g})"
    return [Finding(message, n)]
