"""Rounding errors divided by epsilon."""

import numpy as np

from stepcredit.data.layout import Floats, Ints
from stepcredit.lint.rule import Declared, Finding, NotChecked, Rule

RULE = Rule(
    title="credit made of rounding errors",
    bug="verl-project/verl PR#4597: equal rewards such as 0.2 gave advantages other than 0; PR#6348: rewards 1e-5 "
    "apart gave "
    "0.6; NVIDIA-NeMo/RL PR#4161: a leave-one-out spread of rounding dust gave 4000",
    why="where outcomes are equal there is nothing to learn, and dust over epsilon, up to full size, is trained on",
    mend="give 0 where the group's outcomes are equal within rounding; compute in float64; put a floor under the "
    "spread",
    severity="warning",
)


def std_dust(
    credit: Floats,
    rollout_group: Ints,
    rollout_outcome: Floats,
    group_size: Ints,
    group_live: Ints,
    group_scale: Floats,
    outcome_range: Floats,
    group_centered: Ints,
    uniform: bool,
    centers: bool,
    method: Declared | None = None,
) -> list[Finding] | NotChecked:
    """Three marks: credit among equal outcomes; full-size credit among nearly equal ones; credit far beyond what n
    values can be worth in units of their spread, and beyond the outcomes."""
    if not uniform:
        return NotChecked("needs credit that is one number per rollout")
    size = np.zeros(group_live.size)
    np.maximum.at(size, rollout_group, np.abs(np.nan_to_num(rollout_outcome)))
    share = outcome_range / np.maximum(size, 1e-300)
    # A rollout without tokens may still have moved the baseline: `rejected_in_baseline` looks at those.
    several = (group_live >= 2) & (group_live == group_size) & np.isfinite(outcome_range)
    within = (centers or _expected(method)) and not (method is not None and "equal_rollouts" in method.waives)
    equal = np.flatnonzero(several & (share <= 1e-12) & (group_scale > 0)) if within else np.zeros(0, np.int64)
    near = np.flatnonzero(several & (share > 1e-12) & (share <= 1e-4) & (group_scale > 0.05) & (group_centered == 1))
    with np.errstate(over="ignore"):  # an infinite outcome: no credit is beyond it
        limit = 10 * (np.sqrt(group_live) + np.maximum(size, np.nan_to_num(outcome_range)))
    huge = np.flatnonzero(several & (group_scale > limit))
    out = []
    for groups, text in (
        (equal, "tasks have equal outcomes and credit other than 0"),
        (near, "tasks have outcomes that differ by less than 1e-4 of their size and full credit"),
        (huge, "tasks have credit far beyond their outcomes and beyond the square root of their size"),
    ):
        if groups.size:
            message = f"{groups.size} {text} (largest {group_scale[groups].max():.4g})"
            out.append(Finding(message, groups.size, {"group": groups}))
    return out


def _expected(method: Declared | None) -> bool:
    return method is not None and method.outcome_only and "other_prompts" not in method.waives
