"""Rollouts that are not trained, yet move the baseline."""

import numpy as np

from stepcredit.data.layout import Floats, Ints
from stepcredit.lint.derive import ZERO
from stepcredit.lint.rule import Declared, Finding, NotChecked, Rule, unless_declared

RULE = Rule(
    title="rollouts without a sampled token count in the baseline of their peers",
    bug="verl-project/verl PR#6452: a rollout that rejection sampling had masked out still moved its group's mean",
    why="the credit of the trained rollouts no longer averages 0: a rejected success makes its peers look bad",
    mend="compute baselines over the rollouts that stay in the loss mask",
    severity="warning",
)


def rejected_in_baseline(
    credit: Floats,
    rollout_group: Ints,
    rollout_outcome: Floats,
    group_size: Ints,
    group_live: Ints,
    group_centered: Ints,
    uniform: bool,
    method: Declared | None = None,
) -> list[Finding] | NotChecked:
    if not uniform:
        return NotChecked("needs credit that is one number per rollout")
    partial = (group_live < group_size) & (group_live >= 2)
    if not partial.any():
        return []
    full = group_centered[~partial]
    if np.sum(full == 1) <= np.sum(full == -1):
        return NotChecked("needs tasks without rejected rollouts whose credit averages 0")
    bad = np.flatnonzero(partial & (group_centered == -1) & _zero_with_all(credit, rollout_group, rollout_outcome))
    if bad.size == 0:
        return []
    message = f"{bad.size} of {int(partial.sum())} tasks with rollouts off the mask have a baseline that counts them"
    return [Finding(message, bad.size, {"group": bad}, unless_declared(method, "warning"))]


def _zero_with_all(credit: Floats, group: Ints, outcome: Floats) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """[G] would credit average 0 if the missing rollouts had it on the line through the others' outcomes?"""
    size = int(group.max(initial=-1)) + 1
    live = np.isfinite(credit) & np.isfinite(outcome)
    n = np.maximum(np.bincount(group[live], minlength=size), 1)
    mx = np.bincount(group[live], weights=outcome[live], minlength=size) / n
    my = np.bincount(group[live], weights=credit[live], minlength=size) / n
    dx, dy = outcome - mx[group], credit - my[group]
    sxy = np.bincount(group[live], weights=(dx * dy)[live], minlength=size)
    sxx = np.bincount(group[live], weights=(dx * dx)[live], minlength=size)
    slope = np.divide(sxy, sxx, out=np.zeros(size), where=sxx > 0)
    known = np.isfinite(outcome)
    everyone = np.bincount(group[known], weights=(my[group] + slope[group] * dx)[known], minlength=size)
    largest = np.zeros(size)
    np.maximum.at(largest, group[live], np.abs(credit[live]))
    count = np.maximum(np.bincount(group[known], minlength=size), 1)
    return (sxx > 0) & (np.abs(everyone / count) <= 5 * ZERO * largest)
