"""Rows in which nothing is trained."""

import numpy as np

from stepcredit.data.layout import Bools, Ints
from stepcredit.lint.rule import Finding, Rule

RULE = Rule(
    title="rows without a sampled token",
    bug="huggingface/trl PR#4976: truncated completions were masked in one mask and not in the other",
    why="such a row trains nothing, yet it may count in group statistics and in means over sequences",
    mend="leave it out of baselines and of sequence counts, or sample the prompt again",
    severity="info",
)


def dead_rows(mask: Bools, row: Ints, rows: int) -> list[Finding]:
    dead = np.flatnonzero(np.bincount(row[mask], minlength=rows) == 0)
    if dead.size == 0:
        return []
    return [Finding(f"{dead.size} of {rows} rows have no sampled token", dead.size, {"row": dead})]
