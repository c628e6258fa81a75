"""A baseline per turn index."""

import numpy as np

from stepcredit.data.encode import dense
from stepcredit.data.layout import Floats, Ints
from stepcredit.lint.derive import ZERO
from stepcredit.lint.rule import Declared, Finding, NotChecked, Rule, unless_declared

RULE = Rule(
    title="a baseline per turn index, although rollouts stop at different turns",
    bug="verl-project/verl#7244: normalizing per turn index subtracts a baseline whose number of terms the policy "
    "chooses by "
    "stopping",
    why="whether a turn exists depends on earlier actions, so the baseline does too: the gradient is biased toward a "
    "length",
    mend="compare whole returns of the task, or states; or count a finished rollout as 0 at the turns it did not take",
    severity="warning",
)
LEAST = 6


def turn_index_baseline(
    turn_credit: Floats,
    turn_rollout: Ints,
    turn_index: Ints,
    rollout_group: Ints,
    group_live: Ints,
    uniform: bool,
    method: Declared | None = None,
) -> list[Finding] | NotChecked:
    if uniform:
        return []
    group = rollout_group[turn_rollout]
    width = int(turn_index.max(initial=0)) + 1
    cell = dense(group * width + turn_index)
    n = np.bincount(cell)
    owner = np.zeros(n.size, np.int64)
    owner[cell] = group
    largest = np.zeros(n.size)
    np.maximum.at(largest, cell, np.abs(turn_credit))
    part = (n >= 2) & (n < group_live[owner]) & (largest > 0)
    if part.sum() < LEAST or np.unique(owner[part]).size < 2:
        return NotChecked(f"needs {LEAST} or more turns that two or more, but not all, rollouts of a task reach")
    mean = np.bincount(cell, weights=turn_credit) / n
    if np.any(np.abs(mean[part]) > ZERO * largest[part]):
        return []
    message = (
        f"credit averages 0 among the rollouts that reach a turn, in all {int(part.sum())} places (task, turn index) "
    )
    message += "that only some of a task's rollouts reach"
    where = {"group": owner[part], "turn": _index(cell, turn_index, n.size)[part]}
    return [Finding(message, int(part.sum()), where, unless_declared(method, "warning"))]


def _index(cell: Ints, turn_index: Ints, size: int) -> Ints:
    out = np.zeros(size, np.int64)
    out[cell] = turn_index
    return out
