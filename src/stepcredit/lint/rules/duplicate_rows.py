"""One step of a rollout in two rows."""

import numpy as np

from stepcredit.data.layout import Ints
from stepcredit.lint.rule import Finding, Rule

RULE = Rule(
    title="the same step of a rollout stands in two rows",
    bug="verl-project/verl-omni PR#602, verl-project/verl PR#5969: rows copied to fill the batch were trained and "
    "counted again",
    why="the copied rollout weighs double in the gradient and in its group's baseline",
    mend="give filler rows an empty mask and a group of their own, or drop them before credit is assigned",
)


def duplicate_rows(rollout: Ints, step_index: Ints, rows: int) -> list[Finding]:
    order = np.lexsort((np.arange(rows), step_index, rollout))
    same = (np.diff(rollout[order]) == 0) & (np.diff(step_index[order]) == 0)
    twice = order[1:][same]
    if twice.size == 0:
        return []
    message = f"{twice.size} of {rows} rows repeat a step that an earlier row of the same rollout holds"
    return [Finding(message, twice.size, {"row": twice, "rollout": rollout[twice]})]
