"""Returns that end at tool tokens."""

import numpy as np

from stepcredit.data.layout import Ints
from stepcredit.lint._walk import Walk
from stepcredit.lint.rule import Finding, Rule

RULE = Rule(
    title="returns cut at tool or environment tokens",
    bug="verl-project/verl#7278, PR#6376: the running return of REINFORCE++ was set to 0 at each token off the mask",
    why="turns before a tool call lose all reward that comes after it",
    mend="carry the running return over tokens that are not sampled; stop it at the end of the rollout only",
)


def return_cut_at_gap(return_walk: Walk, row: Ints, position: Ints) -> list[Finding]:
    at = return_walk.before[return_walk.cut]
    if at.size == 0:
        return []
    lost = np.abs(return_walk.want[return_walk.cut])
    message = f"{at.size} of {return_walk.before.size} gaps between turns pass nothing on, "
    message += f"where a return of {lost.mean():.4g} (mean size) stands behind them"
    return [Finding(message, at.size, {"row": row[at], "position": position[at]})]
