"""What rollouts look like: how many per task, how long, how often they succeed, how often states come back."""

from typing import NamedTuple

import numpy as np

from stepcredit.data.batch import Batch
from stepcredit.data.layout import Floats, Ints
from stepcredit.ops import cells


class Profile(NamedTuple):
    """A batch in the numbers that decide which method fits. NaN: not known.

    tasks; rollouts: median per task; mixed: of the tasks with two or more known outcomes, the share whose outcomes
    differ; success: mean outcome, scaled to 0..1 between the least and the greatest; steps: median length, longest;
    met: share of steps after the first whose state another rollout of the task met too; chosen: share of steps for
    which another rollout of the task went from the same state to the same next one; back: share of steps in a state
    that the rollout had been in before.
    """

    tasks: int
    rollouts: float
    mixed: float
    success: float
    steps: float
    longest: int
    met: float
    chosen: float
    back: float


def profile(batch: Batch) -> Profile:
    """The profile of a batch; outcomes are the sums of rewards where none are given."""
    lay = batch.layout
    outcome = _outcome(batch)
    known = ~np.isnan(outcome)
    per_task = np.bincount(lay.group, minlength=lay.G)
    low, high = np.full(lay.G, np.inf), np.full(lay.G, -np.inf)
    np.minimum.at(low, lay.group[known], outcome[known])
    np.maximum.at(high, lay.group[known], outcome[known])
    several = np.bincount(lay.group[known], minlength=lay.G) > 1
    with np.errstate(over="ignore"):
        span = np.ptp(outcome[known]) if known.any() else 0.0
    length = lay.paths.length
    met = chosen = back = np.nan
    if "state" in batch:
        state, rollout, later = batch["state"], lay.rollout, lay.turn > 0
        place = cells(lay.step_group, state)
        met = _shared(place, rollout, later)
        row = np.flatnonzero(lay.paths.left > 0)
        at, after = lay.paths.rows[row], lay.paths.rows[row + 1]
        chosen = _shared(cells(place[at], state[after]), rollout[at], np.ones(at.size, bool))
        visit = cells(place, rollout)
        first = np.unique(visit, return_index=True)[1]
        back = 1 - first.size / max(lay.S, 1)
    return Profile(
        tasks=lay.G,
        rollouts=float(np.median(per_task)) if lay.G else float("nan"),
        mixed=float(np.mean((low < high)[several])) if several.any() else float("nan"),
        success=float(np.mean(outcome[known] - outcome[known].min()) / span) if 0 < span < np.inf else float("nan"),
        steps=float(np.median(length)) if lay.R else float("nan"),
        longest=int(length.max(initial=0)),
        met=met,
        chosen=chosen,
        back=float(back),
    )


def _outcome(batch: Batch) -> Floats:
    if "outcome" in batch:
        return np.asarray(batch["outcome"], float)
    return batch.layout.total(batch["reward"]) if "reward" in batch else np.full(batch.layout.R, np.nan)


def _shared(cell: Ints, rollout: Ints, rows: np.ndarray) -> float:
    """Of the rows, the share whose cell another rollout is in too."""
    if not rows.any():
        return float("nan")
    pairs = np.unique(np.stack((cell, rollout)), axis=1)[0]
    return float(np.mean(np.bincount(pairs)[cell[rows]] > 1))
