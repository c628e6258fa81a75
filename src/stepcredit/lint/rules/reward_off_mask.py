"""Reward on tokens that take no part."""

import numpy as np

from stepcredit.data.layout import Bools, Floats, Ints
from stepcredit.lint.rule import Finding, Rule

RULE = Rule(
    title="reward on padding, tool or rejected tokens",
    bug="verl-project/verl PR#6310, PR#6362: a reward on a padding slot or a rejected token moved the group's "
    "baseline; "
    "THUDM/slime#1370: KL of tool responses was summed into returns",
    why="estimators that sum rewards without the mask let it into the rollout's return and into its peers' baseline",
    mend="put rewards on the last sampled token, multiply token rewards by the mask before any sum, skip empty "
    "responses",
)


def reward_off_mask(token_reward: Floats, mask: Bools, row: Ints, position: Ints, rows: int) -> list[Finding]:
    at = np.flatnonzero(~mask & (np.nan_to_num(token_reward, nan=1.0) != 0))
    if at.size == 0:
        return []
    dead = np.bincount(row[mask], minlength=rows) == 0
    owners = np.unique(row[at])
    total, sampled = float(np.nansum(token_reward[at])), float(np.nansum(token_reward[mask]))
    message = f"{at.size} entries off the mask, in {owners.size} rows, hold rewards that sum to {total:.4g}"
    message += f" (sampled tokens: {sampled:.4g})"
    if dead[owners].any():
        message += f"; {int(dead[owners].sum())} of these rows have no sampled token at all"
    return [Finding(message, at.size, {"row": row[at], "position": position[at]})]
