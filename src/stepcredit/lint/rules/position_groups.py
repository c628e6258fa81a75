"""Baselines over neighbors instead of over the rollouts of a task."""

import numpy as np

from stepcredit.data.layout import Floats, Ints
from stepcredit.lint.derive import ZERO
from stepcredit.lint.rule import Declared, Finding, NotChecked, Rule

RULE = Rule(
    title="groups by position, although the rows stand in another order",
    bug="PrimeIntellect-ai/prime-rl PR#600: prompts were repeated as p1 p2 p1 p2 and sliced as if p1 p1 p2 p2; "
    "areal-project/AReaL#1419: slices of fixed size over groups that had lost a member",
    why="rollouts are compared with those of other tasks: easy tasks look good, hard tasks look bad",
    mend="group by task id, never by reshape or slice; or sort the rows by task first",
)
LEAST, TRIALS = 3, 1999


def position_groups(
    credit: Floats, rollout_group: Ints, group_size: Ints, group_centered: Ints, method: Declared | None = None
) -> list[Finding] | NotChecked:
    if method is not None and ("other_prompts" in method.waives or method.outcome_only is False):
        return NotChecked("needs credit that is compared within the task")
    away = int(np.sum(group_centered == -1))
    if away < 2 or away <= np.sum(group_centered == 1):
        return []
    x = np.nan_to_num(credit)
    for size in np.unique(group_size[group_size >= 2])[::-1]:
        blocks = x.size // size
        cut = x[: blocks * size]
        told, zero = _zero_blocks(cut[None, :], blocks)
        if told[0] < LEAST or zero[0] < 0.9 * told[0]:
            continue
        rng = np.random.default_rng(0)
        shuffled = rng.permuted(np.tile(cut, (TRIALS, 1)), axis=1) if x.size <= 4096 else None
        if shuffled is not None and np.mean(_zero_blocks(shuffled, blocks)[1] >= zero[0]) > 1e-3:
            continue
        message = f"credit averages 0 over {zero[0]} of {told[0]} slices of {size} neighboring rollouts, "
        message += f"but in {away} of {int(np.sum(group_centered != 0))} tasks it does not"
        groups = np.flatnonzero(group_centered == -1)
        return [Finding(message, away, {"group": groups})]
    return []


def _zero_blocks(x: Floats, blocks: int) -> tuple[Ints, Ints]:
    """[trials] how many slices have credit, and how many of them average 0."""
    cut = x.reshape(x.shape[0], blocks, -1)
    largest = np.abs(cut).max(2)
    told = largest > 0
    return told.sum(1), (told & (np.abs(cut.mean(2)) <= ZERO * largest)).sum(1)
