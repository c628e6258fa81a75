"""A baseline in which long rollouts count more."""

import numpy as np

from stepcredit.data.layout import Floats, Ints
from stepcredit.lint.derive import CLEAR, ZERO
from stepcredit.lint.rule import Declared, Finding, NotChecked, Rule, unless_declared

RULE = Rule(
    title="each step row counts as a rollout in the baseline",
    bug="NovaSky-AI/SkyRL#1278, langfengQ/verl-agent PR#22: statistics over step rows, so a rollout counts once per "
    "step",
    why="the baseline leans to long rollouts, mostly failures: credit of the task does not average 0 over its rollouts",
    mend="take mean and spread over one entry per rollout, then spread the number to its rows",
    severity="warning",
)
LEAST = 2


def rows_counted_as_rollouts(
    credit: Floats,
    rollout_group: Ints,
    rollout_rows: Ints,
    turns: Ints,
    group_centered: Ints,
    group_scale: Floats,
    uniform: bool,
    method: Declared | None = None,
) -> list[Finding] | NotChecked:
    if not uniform:
        return NotChecked("needs credit that is one number per rollout")
    weights = rollout_rows if np.any(rollout_rows > 1) else turns
    away = group_centered == -1
    size = group_scale.size
    x = np.nan_to_num(credit)
    _, power = np.frexp(np.max(np.abs(x), initial=0.0))
    x = np.ldexp(x, -power)  # by a power of 2, exactly: sums of 1e308 are no numbers
    total = np.bincount(rollout_group, weights=x * weights, minlength=size)
    mean = total / np.maximum(np.bincount(rollout_group, weights=weights, minlength=size), 1)
    by_rows = np.abs(mean) <= ZERO * np.ldexp(group_scale, -power)
    ragged = np.zeros(size, bool)
    ragged[rollout_group[weights != _first(weights, rollout_group, size)[rollout_group]]] = True
    told = away & ragged
    if not told.any():
        return []
    bad = np.flatnonzero(told & by_rows)
    # A batch without a baseline hits 0 here and there by chance.
    if bad.size < LEAST or bad.size < 0.9 * told.sum():
        return []
    message = (
        f"in {bad.size} of {int(told.sum())} tasks whose rollouts differ in rows, credit averages 0 over rows but "
    )
    message += f"not over rollouts (off by more than {CLEAR:.0%} of the largest)"
    return [Finding(message, bad.size, {"group": bad}, unless_declared(method, "warning"))]


def _first(x: Ints, group: Ints, size: int) -> Ints:
    out = np.zeros(size, np.int64)
    out[group[::-1]] = x[::-1]
    return out
