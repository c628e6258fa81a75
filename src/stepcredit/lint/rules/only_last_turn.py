"""Only the last turn of each rollout has credit of its own."""

import numpy as np

from stepcredit.data.layout import Bools, Floats, Ints
from stepcredit.lint.rule import Declared, Finding, NotChecked, Rule

RULE = Rule(
    title="all turns but the last of a rollout get one and the same number",
    bug="NovaSky-AI/SkyRL#1492: the last step's masked advantages were copied to all steps, so the others got 0; "
    "verl-project/verl#7278: returns ended at tool tokens, so only the last turn saw the outcome",
    why="the turns that lead to the outcome are trained on nothing",
    mend="spread a rollout's number with each row's own mask; carry returns over tokens that are not sampled",
)
LEAST = 8


def only_last_turn(
    turn_low: Floats,
    turn_high: Floats,
    turn_rollout: Ints,
    turn_last: Bools,
    turns: Ints,
    scale: float,
    method: Declared | None = None,
) -> list[Finding] | NotChecked:
    several = turns[turn_rollout] >= 2
    if np.unique(turn_rollout[several]).size < LEAST:
        return NotChecked(f"needs at least {LEAST} rollouts of several turns")
    before = several & ~turn_last
    constant = float(turn_low[before][0])
    near = 1e-6 * scale
    if np.any(turn_low[before] < constant - near) or np.any(turn_high[before] > constant + near):
        return []
    last = several & turn_last
    told = last & ((turn_high > constant + near) | (turn_low < constant - near))
    n, values = int(told.sum()), turn_high[told]
    if n < LEAST:
        return []
    # Where the first steps are shared by all rollouts, methods that compare actions rightly give them nothing.
    shared = method is not None and method.reads is not None and method.reads & {"tree", "action", "observation"}
    text = "0" if abs(constant) <= near else f"{constant:.4g}"
    message = (
        f"in all {np.unique(turn_rollout[several]).size} rollouts of several turns every turn but the last has {text}"
    )
    message += f"; {n} last turns have other numbers, from {values.min():.4g} to {values.max():.4g}"
    return [Finding(message, n, {"rollout": turn_rollout[told]}, "info" if shared else None)]
