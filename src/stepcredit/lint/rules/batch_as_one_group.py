"""One baseline for the whole batch."""

import numpy as np

from stepcredit.data.layout import Floats, Ints
from stepcredit.lint.derive import ZERO
from stepcredit.lint.rule import Declared, Finding, NotChecked, Rule

RULE = Rule(
    title="credit normalized over the batch instead of within the task",
    bug="THUDM/slime#1414: where group sizes differ, a reshape made one group of the whole batch",
    why="credit then says how hard the task was, not what the rollout did better than its peers",
    mend="take mean and spread by group id; allow groups of any size",
    severity="warning",
)


def batch_as_one_group(
    credit: Floats,
    tokens: Ints,
    group_size: Ints,
    group_centered: Ints,
    uniform: bool,
    rollout_outcome: Floats | None = None,
    method: Declared | None = None,
) -> list[Finding] | NotChecked:
    if not uniform:
        return NotChecked("needs credit that is one number per rollout")
    live = tokens > 0
    away = np.flatnonzero(group_centered == -1)
    if away.size < 2:
        return []
    uneven = np.unique(group_size[group_size > 0]).size > 1
    if rollout_outcome is None and not uneven:
        return NotChecked("needs outcome, where groups are of one size")
    if rollout_outcome is not None and not _one_line(credit, rollout_outcome):
        return []
    x = credit[live]
    largest = np.abs(x).max()
    # Whitening over tokens (REINFORCE++) averages 0 over tokens, not over rollouts.
    if abs(x.mean()) > 1e-4 * largest:
        return []
    message = f"credit averages 0 over all {x.size} rollouts, but not in {away.size} of "
    message += f"{int(np.sum(group_centered != 0))} tasks"
    message += f", and group sizes differ ({group_size[group_size > 0].min()} to {group_size.max()})" if uneven else ""
    message += "" if rollout_outcome is None else "; it is one line in the outcome, whatever the task"
    meant = method is not None and "other_prompts" in method.waives
    return [Finding(message, away.size, {"group": away}, "info" if meant else None)]


def _one_line(credit: Floats, outcome: Floats) -> bool:
    """Is credit one linear function of the outcome, whatever the task?"""
    known = np.isfinite(credit) & np.isfinite(outcome)
    if not known.any():
        return True
    x, y = outcome[known] - outcome[known].mean(), credit[known] - credit[known].mean()
    slope = float(np.dot(x, y)) / max(float(np.dot(x, x)), 1e-300)
    return bool(np.abs(y - slope * x).max(initial=0.0) <= ZERO * np.abs(y).max(initial=0.0))
