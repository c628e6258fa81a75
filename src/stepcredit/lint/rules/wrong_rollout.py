"""Credit that belongs to another rollout."""

import numpy as np

from stepcredit.data.layout import Floats, Ints
from stepcredit.lint.rule import Declared, Finding, NotChecked, Rule, Severity, unless_declared

RULE = Rule(
    title="credit contradicts the outcomes of its task",
    bug="verl-project/verl#7956: advantages were resampled while tokens stayed, so each rollout was trained on "
    "another's",
    why="failures are reinforced and successes discouraged; mean and spread of the batch look right",
    mend="carry advantages, tokens and masks through shuffles and resampling together, by key; give as outcome the "
    "number that the advantages were computed from",
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
    flat = np.flatnonzero(known & (high - low <= 1e-4 * scale))
    x, y, group = credit[flat], rollout_outcome[flat], rollout_group[flat]
    r, below = _correlation(x, y, group)
    size = r.size
    # A better outcome with negative credit beside a worse one with positive credit.
    good, bad = np.full(size, np.inf), np.full(size, -np.inf)
    np.minimum.at(good, group[x > 1e-3 * scale], y[x > 1e-3 * scale])
    np.maximum.at(bad, group[x < -1e-3 * scale], y[x < -1e-3 * scale])
    against = np.flatnonzero((r < -0.05) | (bad > good + 1e-9))
    if against.size == 0:
        return []
    told = int(np.sum(np.isfinite(r)))
    message = f"in {against.size} of {told} tasks of mixed outcomes credit runs against them "
    message += f"(lowest correlation {np.nanmin(r):.2f})"
    wrong = flat[np.isin(group, against) & (np.sign(x) * np.sign(below) < 0)]
    # A few may come of an outcome that is only a part of the reward.
    severity: Severity = "error" if against.size >= 0.2 * told else "warning"
    return [Finding(message, against.size, {"rollout": wrong, "group": rollout_group[wrong]}, severity)]


def _correlation(x: Floats, y: Floats, group: Ints) -> tuple[Floats, Floats]:
    """[G] correlation within each group, NaN where either is constant; [n] y minus its group's mean."""
    size = int(group.max(initial=-1)) + 1
    n = np.maximum(np.bincount(group, minlength=size), 1)
    dx = x - (np.bincount(group, weights=x, minlength=size) / n)[group]
    dy = y - (np.bincount(group, weights=y, minlength=size) / n)[group]
    top = np.bincount(group, weights=dx * dy, minlength=size)
    xx = np.bincount(group, weights=dx * dx, minlength=size)
    under = np.sqrt(xx * np.bincount(group, weights=dy * dy, minlength=size))
    r: Floats = np.divide(top, under, out=np.full(size, np.nan), where=under > 1e-9)
    return r, dy


def _trend(credit: Floats, group: Ints, outcome: Floats, method: Declared | None) -> list[Finding] | NotChecked:
    """Credit that varies inside a rollout need not follow outcomes, but it should not run against them."""
    r, _ = _correlation(credit, outcome, group)
    told = np.isfinite(r)
    r = r[told]
    m = r.size
    if m < LEAST:
        return NotChecked(f"needs at least {LEAST} tasks of mixed outcomes where credit varies inside a rollout")
    mean, error = float(r.mean()), float(r.std(ddof=1) / np.sqrt(m))
    if mean > -0.1 or mean > -6 * error:
        return []
    message = f"credit runs against outcomes: mean correlation {mean:.2f} over {m} tasks "
    message += f"({mean / max(error, 1e-12):.0f} standard errors)"
    return [Finding(message, m, {"group": np.flatnonzero(told)}, unless_declared(method, "warning"))]
