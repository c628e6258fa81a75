"""Rows of one rollout that disagree."""

import numpy as np

from stepcredit.data.layout import Floats, Ints
from stepcredit.lint.rule import Finding, NotChecked, Rule

RULE = Rule(
    title="rows of one rollout disagree on its task or outcome",
    bug="NovaSky-AI/SkyRL PR#1432: filters and resampling worked on step rows as if each were a rollout",
    why="a part of the rollout is compared with the wrong peers, or counts with another verdict",
    mend="sort, filter and resample whole rollouts; give each row the outcome of its rollout, not of its step",
)


def split_rollout(
    rollout: Ints, rows: int, group: Ints | None = None, outcome: Floats | None = None
) -> list[Finding] | NotChecked:
    if group is None and outcome is None:
        return NotChecked("needs group or outcome")
    out = []
    first = np.zeros(int(rollout.max(initial=-1)) + 1, np.int64)
    first[rollout[::-1]] = np.arange(rows)[::-1]
    head = first[rollout]
    if group is not None:
        at = np.flatnonzero(group != group[head])
        if at.size:
            message = f"{at.size} rows stand in another group than the first row of their rollout"
            out.append(Finding(message, at.size, {"row": at, "rollout": rollout[at]}))
    if outcome is not None:
        same = (outcome == outcome[head]) | (np.isnan(outcome) & np.isnan(outcome[head]))
        at = np.flatnonzero(~same)
        if at.size:
            r = at[0]
            message = f"{at.size} rows have another outcome than the first row of their rollout: row {r} has "
            message += f"{outcome[r]:.4g}, row {head[r]} has {outcome[head[r]]:.4g}"
            out.append(Finding(message, at.size, {"row": at, "rollout": rollout[at]}))
    return out
