"""Nothing is discouraged, or nothing encouraged."""

import numpy as np

from stepcredit.data.layout import Floats, Ints
from stepcredit.lint.rule import Declared, Finding, NotChecked, Rule, unless_declared

RULE = Rule(
    title="all credit has one sign, in tasks of mixed outcomes",
    bug="opendilab/LightRFT PR#53: PRM scores of 0.6 to 0.95, also on wrong traces, made every return positive",
    why="right and wrong are both reinforced; the difference that should teach is a small part of the number",
    mend="subtract a baseline: the task's mean, a value, or the mean score per step",
    severity="warning",
)
LEAST, ROLLOUTS = 3, 12


def one_sign(
    low: Floats,
    high: Floats,
    rollout_group: Ints,
    group_live: Ints,
    outcome_range: Floats,
    method: Declared | None = None,
) -> list[Finding] | NotChecked:
    mixed = (outcome_range > 1e-6) & (group_live >= 2)
    inside = np.flatnonzero(mixed[rollout_group] & np.isfinite(low))
    if mixed.sum() < LEAST or inside.size < ROLLOUTS:
        return NotChecked(f"needs {LEAST} tasks of mixed outcomes with {ROLLOUTS} rollouts in all")
    bottom, top = float(low[inside].min()), float(high[inside].max())
    if (bottom < 0 < top) or bottom == top == 0:
        return []
    sign = "positive" if bottom >= 0 else "negative"
    message = f"no token of {inside.size} rollouts in {int(mixed.sum())} tasks of mixed outcomes has "
    message += f"{'negative' if bottom >= 0 else 'positive'} credit: all {sign}, from {bottom:.4g} to {top:.4g}"
    return [Finding(message, inside.size, {"rollout": inside}, unless_declared(method, "warning"))]
