"""The ignore index of a loss (-100) among credit or mask values."""

import numpy as np

from stepcredit.data.layout import Bools, Floats, Ints
from stepcredit.lint.rule import Finding, Rule

RULE = Rule(
    title="an ignore index taken for a number",
    bug="huggingface/trl PR#2127: step labels were cast to bool, and the ignore index -100 became True",
    why="the marker is a true value as a mask and a hundredfold negative push as an advantage",
    mend="compare labels with -100 before any cast; build the mask as (labels != -100)",
)


def ignore_index(
    advantage: Floats, row: Ints, position: Ints, mask: Bools | None = None, mask_value: Floats | None = None
) -> list[Finding]:
    out = []
    # A lone -100 may be a value; among values a tenth of it, it is a marker.
    marked = advantage == -100
    rest = np.abs(advantage[~marked & np.isfinite(advantage)])
    if marked.any() and rest.max(initial=0) < 10:
        at = np.flatnonzero(marked)
        on = at.size if mask is None else int(mask[at].sum())
        message = f"{at.size} advantages are exactly -100, {on} of them on sampled tokens; the others stay below 10"
        out.append(Finding(message, at.size, {"row": row[at], "position": position[at]}))
    if mask_value is not None:
        at = np.flatnonzero((mask_value < 0) | np.isnan(mask_value))
        if at.size:
            seen = ", ".join(f"{v:g}" for v in np.unique(mask_value[at])[:3])
            message = f"the mask holds {seen} in {at.size} entries: true values if cast to bool (taken as 0 here)"
            out.append(Finding(message, at.size, {"row": row[at], "position": position[at]}))
        at = np.flatnonzero((mask_value > 0) & (mask_value != 1))
        if at.size:
            message = f"the mask holds values other than 0 and 1 in {at.size} entries (taken as sampled here)"
            out.append(Finding(message, at.size, {"row": row[at], "position": position[at]}, "info"))
    return out
