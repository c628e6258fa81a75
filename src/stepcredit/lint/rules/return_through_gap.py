"""Returns that take something up in tool tokens, or fade in them."""

import numpy as np

from stepcredit.data.layout import Ints
from stepcredit.lint._walk import Walk
from stepcredit.lint.rule import Finding, Rule

RULE = Rule(
    title="returns changed by tool or environment tokens",
    bug="THUDM/slime#1370: the KL penalty of tool responses accumulated in returns; radixark/miles PR#1827: values "
    "decayed "
    "through tokens off the mask",
    why="what the environment wrote, and how long it was, becomes credit of the turn before",
    mend="mask rewards and penalties before summing them; discount per sampled token or per turn, not per tool token",
    severity="warning",
)


def return_through_gap(return_walk: Walk, row: Ints, position: Ints) -> list[Finding]:
    w = return_walk
    odd = ~w.whole & ~w.cut
    fed = odd & (w.leaked > w.tolerance)
    faded = odd & ~fed & (np.abs(w.got - w.slow) <= w.tolerance)
    out = []
    for which, text in (
        (faded, f"fade by {w.gamma:.4g} per token of the gap, though it was not sampled"),
        (fed, "take up rewards or penalties of tokens in the gap"),
        (odd & ~faded & ~fed, "differ from the return behind the gap"),
    ):
        at = w.before[which]
        if at.size:
            change = (w.got - w.want)[which]
            message = f"at {at.size} of {w.before.size} gaps returns {text} (mean change {change.mean():.4g})"
            out.append(Finding(message, at.size, {"row": row[at], "position": position[at]}))
    return out
