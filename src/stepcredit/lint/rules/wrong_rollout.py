"""Credit that belongs to another rollout."""

import numpy as np

from stepcredit.data.layout import Floats, Ints
from stepcredit.lint.rule import Declared, Finding, NotChecked, Rule, unless_declared

RULE = Rule(
    title="credit contradicts the outcomes of its task",
    bug="verl-project/verl#7956: advantages were resampled while tokens stayed, so each rollout was trained on "
    "another's",
    why="failures are reinforced and successes discouraged; mean and spread of the batch look right",
    mend="carry advantages, tokens and masks through shuffles and resampling together, by key",
)
LEAST = 20


def wrong_rollout(
    credit: Floats,
    low: Floats,
    high: Floats,
    rollout_group: Ints,
    rollout_outcome: Floats,
    uniform: bool,
    scale: float,
    method: Declared | None = None,
) -> list[Finding] | NotChecked:
    known = np.isfinite(credit) & np.isfinite(rollout_outcome)
    if not uniform:
        return _trend(credit[known], rollout_group[known], rollout_outcome[known], method)
    flat = known & (high - low <= 1e-4 * scale)
    groups = int(rollout_group.max(initial=-1)) + 1
    least_good, best_bad = np.full(groups, np.inf), np.full(groups, -np.inf)
    up, down = flat & (credit > 1e-3 * scale), flat & (credit < -1e-3 * scale)
    np.minimum.at(least_good, rollout_group[up], rollout_outcome[up])
    np.maximum.at(best_bad, rollout_group[down], rollout_outcome[down])
    bad = np.flatnonzero(best_bad > least_good + 1e-9)
    if bad.size == 0:
        return []
    g = bad[0]
    message = (
        f"in {bad.size} of {np.unique(rollout_group[known]).size} tasks a better outcome got negative credit and a "
    )
    message += f"worse one positive (first: {best_bad[g]:.4g} negative, {least_good[g]:.4g} positive)"
    in_bad = (up | down) & np.isin(rollout_group, bad)
    swapped = in_bad & (
        (up & (rollout_outcome < best_bad[rollout_group])) | (down & (rollout_outcome > least_good[rollout_group]))
    )
    at = np.flatnonzero(swapped)
    return [Finding(message, bad.size, {"rollout": at, "group": rollout_group[at]})]


def _trend(credit: Floats, group: Ints, outcome: Floats, method: Declared | None) -> list[Finding] | NotChecked:
    """Credit that varies inside a rollout need not follow outcomes, but it should not run against them."""
    size = int(group.max(initial=-1)) + 1
    n = np.maximum(np.bincount(group, minlength=size), 1)
    x = credit - (np.bincount(group, weights=credit, minlength=size) / n)[group]
    y = outcome - (np.bincount(group, weights=outcome, minlength=size) / n)[group]
    top = np.bincount(group, weights=x * y, minlength=size)
    under = np.sqrt(
        np.bincount(group, weights=x * x, minlength=size) * np.bincount(group, weights=y * y, minlength=size)
    )
    told = under > 1e-12
    m = int(told.sum())
    if m < LEAST:
        return NotChecked(f"needs at least {LEAST} tasks of mixed outcomes where credit varies inside a rollout")
    r = top[told] / under[told]
    mean, error = float(r.mean()), float(r.std(ddof=1) / np.sqrt(m))
    if mean > -0.1 or mean > -6 * error:
        return []
    message = f"credit runs against outcomes: mean correlation {mean:.2f} over {m} tasks "
    message += f"({mean / max(error, 1e-12):.0f} standard errors)"
    return [Finding(message, m, {"group": np.flatnonzero(told)}, unless_declared(method, "warning"))]
