"""0 where nothing is known."""

import numpy as np

from stepcredit.data.layout import Floats, Ints
from stepcredit.lint.rule import Finding, Rule

RULE = Rule(
    title="0 stands for not judged",
    bug="huggingface/trl PR#6427: rollouts that never met a reward kept the default 0 and were trained as if scored",
    why="a rollout of unknown outcome counts as an average one: it dilutes means over tokens, and KL still trains it",
    mend="take it out of the loss mask (None or NaN in the credit), or score it",
    severity="warning",
)


def not_judged_as_zero(low: Floats, high: Floats, rollout_outcome: Floats, rollout_group: Ints) -> list[Finding]:
    at = np.flatnonzero(np.isnan(rollout_outcome) & (low == 0) & (high == 0))
    if at.size == 0:
        return []
    unknown = int(np.isnan(rollout_outcome).sum())
    message = f"{at.size} of {unknown} rollouts of unknown outcome have credit 0 on all sampled tokens"
    return [Finding(message, at.size, {"rollout": at, "group": rollout_group[at]})]
