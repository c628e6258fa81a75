"""NaN or infinite credit."""

import numpy as np

from stepcredit.data.layout import Bools, Floats, Ints
from stepcredit.lint.rule import Finding, Rule

RULE = Rule(
    title="NaN or infinite credit",
    bug="modelscope/ms-swift#8123: one reward of None made every advantage of the batch NaN, and training went on",
    why="one NaN makes the loss of the whole micro-batch NaN; a NaN off the mask does too, since 0 * NaN is NaN",
    mend="find the division by a spread or a count of 0; what is not judged leaves the loss mask and never becomes 0 "
    "in it",
)


def non_finite(
    advantage: Floats, row: Ints, position: Ints, unjudged: Bools, mask: Bools | None = None
) -> list[Finding]:
    out = []
    bad = ~np.isfinite(advantage) & ~unjudged
    on = bad if mask is None else bad & mask
    off = bad & ~on
    for where, text, severity in ((on, "sampled entries", None), (off, "entries off the mask", "warning")):
        at = np.flatnonzero(where)
        if at.size:
            infinite = int(np.isinf(advantage[at]).sum())
            message = f"{at.size} {text} are not finite ({at.size - infinite} NaN, {infinite} infinite)"
            out.append(Finding(message, at.size, {"row": row[at], "position": position[at]}, severity))  # type: ignore[arg-type]
    left = np.flatnonzero(unjudged)
    if left.size:
        message = f"{left.size} entries are not judged: they must leave the loss mask"
        out.append(Finding(message, left.size, {"row": row[left], "position": position[left]}, "info"))
    return out
