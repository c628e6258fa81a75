"""Mixed outcomes, one credit."""

import numpy as np

from stepcredit.data.layout import Floats, Ints
from stepcredit.lint.rule import Declared, Finding, NotChecked, Rule

RULE = Rule(
    title="outcomes differ, credit does not",
    bug="NovaSky-AI/SkyRL#201, areal-project/AReaL#1661: rewards other than the last were dropped on the way to the "
    "estimator",
    why="the task has something to teach and the gradient does not see it",
    mend="look for a reward that was overwritten, a wrong group id, or a filter that set advantages to 0",
    severity="warning",
)


def outcome_ignored(
    low: Floats,
    high: Floats,
    rollout_group: Ints,
    group_live: Ints,
    outcome_range: Floats,
    scale: float,
    method: Declared | None = None,
) -> list[Finding] | NotChecked:
    mixed = (outcome_range > 1e-6) & (group_live >= 2)
    if not mixed.any():
        return NotChecked("needs a task with mixed outcomes")
    live = np.flatnonzero(np.isfinite(low))
    top, bottom = np.full(mixed.size, -np.inf), np.full(mixed.size, np.inf)
    np.maximum.at(top, rollout_group[live], high[live])
    np.minimum.at(bottom, rollout_group[live], low[live])
    silent = np.flatnonzero(mixed & (top / 2 - bottom / 2 <= 0.5e-9 * scale))
    if silent.size == 0:
        return []
    n = int(mixed.sum())
    message = f"{silent.size} of {n} tasks of mixed outcomes have the same credit on every token of every rollout"
    # Evidence beside outcomes may say that nothing can be told apart.
    meant = method is not None and not method.outcome_only
    everywhere = n >= 2 and silent.size == n
    return [Finding(message, silent.size, {"group": silent}, "info" if meant else "error" if everywhere else None)]
