"""Credit that depends on length where outcomes are equal."""

import numpy as np

from stepcredit.data.encode import dense
from stepcredit.data.layout import Floats, Ints
from stepcredit.lint.rule import Declared, Finding, NotChecked, Rule, unless_declared

RULE = Rule(
    title="credit follows length at equal outcome",
    bug="CJReinforce/PURE#2: a baseline of the average step reward favored short answers",
    why="the policy learns a length, not a better answer",
    mend="check what the baseline divides by (tokens, steps, rollouts); compare returns of whole rollouts",
    severity="warning",
)
LEAST = 30


def length_bias(
    credit: Floats,
    tokens: Ints,
    rollout_group: Ints,
    rollout_outcome: Floats,
    scale: float,
    method: Declared | None = None,
) -> list[Finding] | NotChecked:
    known = np.flatnonzero(np.isfinite(credit) & np.isfinite(rollout_outcome))
    verdict = np.unique(rollout_outcome[known], return_inverse=True)[1]
    cell = dense(rollout_group[known] * (int(verdict.max(initial=0)) + 1) + verdict)
    x, y = tokens[known].astype(float), credit[known]
    n = np.bincount(cell)
    free = int(np.sum(n - 1)) if n.size else 0
    told = n[cell] >= 2 if n.size else np.zeros(0, bool)
    if free < LEAST or np.all(np.ptp(x[told]) == 0):
        return NotChecked(f"needs {LEAST} or more rollouts of several lengths that share task and outcome with another")
    x, y = _ranks(x, cell), _ranks(np.round(y / max(scale, 1e-300), 6), cell)
    sx, sy = float(np.sum(x * x)), float(np.sum(y * y))
    if sx == 0 or sy == 0:
        return []
    r = float(np.sum(x * y)) / np.sqrt(sx * sy)
    z = r * np.sqrt(np.sum(told) - np.unique(cell[told]).size)
    if abs(r) < 0.2 or abs(z) < 6:
        return []
    message = (
        f"among rollouts of one task and outcome, longer ones get {'more' if r > 0 else 'less'} credit per token: "
    )
    message += f"rank correlation {r:+.2f} over {int(told.sum())} rollouts ({abs(z):.0f} standard errors)"
    return [Finding(message, int(told.sum()), {}, unless_declared(method, "warning"))]


def _ranks(x: Floats, cell: Ints) -> Floats:
    """Ranks within the cell, ties averaged, centered and scaled to its size."""
    order = np.lexsort((x, cell))
    xs, cs = x[order], cell[order]
    new = np.concatenate(([True], (np.diff(xs) != 0) | (np.diff(cs) != 0)))
    run = np.cumsum(new) - 1
    mean_place = np.bincount(run, weights=np.arange(x.size)) / np.bincount(run)
    rank = np.empty(x.size)
    rank[order] = mean_place[run]
    n = np.bincount(cell)
    rank -= (np.bincount(cell, weights=rank) / n)[cell]
    return rank / n[cell]
