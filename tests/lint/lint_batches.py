"""Clean batches as trainers have them: ragged groups in any order, turns with tool gaps, padding on either side."""

from dataclasses import dataclass

import numpy as np

from stepcredit.credit import assign
from stepcredit.data.batch import Batch
from stepcredit.data.layout import Layout


@dataclass
class Padded:
    """A batch and its [B, T] tensors, a row per rollout."""

    batch: Batch
    mask: np.ndarray
    turn: np.ndarray
    attention: np.ndarray
    group: np.ndarray
    outcome: np.ndarray

    def spread(self, steps):
        """[S] -> [B, T], 0 off the mask."""
        lay = self.batch.layout
        start = np.concatenate(([0], np.cumsum(lay.steps)))
        out = np.zeros(self.mask.shape)
        row, column = np.nonzero(self.mask)
        out[row, column] = np.nan_to_num(np.asarray(steps)[start[row] + self.turn[row, column]])
        return out

    def credit(self, method, **options):
        return self.spread(assign(self.batch, method, reward="outcome", **options).steps)

    def rollout_credit(self, values):
        """[R] -> [B, T]."""
        return np.asarray(values)[:, None] * self.mask

    def group_ids(self):
        return [f"task {g}" for g in self.group]


def padded(
    seed=0,
    *,
    groups=8,
    size=(2, 6),
    turns=(1, 5),
    tokens=(2, 6),
    gap=(1, 4),
    binary=True,
    interleaved=True,
    lone=0,
    left=True,
):
    """Rollouts whose longer ones fail more often. `lone` groups of one come on top."""
    rng = np.random.default_rng(seed)
    sizes = [*rng.integers(size[0], size[1] + 1, groups).tolist(), *[1] * lone]
    group = np.repeat(np.arange(len(sizes)), sizes)
    if interleaved:
        group = rng.permutation(group)
    r = group.size
    steps = rng.integers(turns[0], turns[1] + 1, r)
    rollout = np.repeat(np.arange(r), steps)
    easy = rng.uniform(0.2, 0.8, len(sizes))[group]
    outcome = (rng.random(r) < easy).astype(float) if binary else np.round(rng.random(r) + easy, 2)
    for g in range(groups):
        first = np.flatnonzero(group == g)
        outcome[first[0]], outcome[first[-1]] = (1.0, 0.0) if binary else (1.7, 0.13)
    last = np.cumsum(steps) - 1
    turn = np.arange(rollout.size) - np.repeat(np.cumsum(steps) - steps, steps)
    count = rng.integers(tokens[0], tokens[1] + 1, rollout.size)
    gaps = rng.integers(gap[0], gap[1] + 1, rollout.size)
    gaps[last] = 0
    layout = Layout(group, rollout, token_step=np.repeat(np.arange(rollout.size), count))
    state = np.where(turn == 0, 0, rng.integers(1, 4, rollout.size))
    columns = {"outcome": outcome, "state": state, "action": rng.integers(0, 3, rollout.size)}
    columns["observation"] = rng.integers(0, 3, rollout.size)
    batch = Batch(layout, columns)

    whole = np.bincount(rollout, weights=count + gaps).astype(int)
    prompt = rng.integers(0, 4, r)
    width = int(whole.max()) + 4
    mask, ids = np.zeros((r, width), int), np.full((r, width), -1)
    attention = np.zeros((r, width), int)
    for i in range(r):
        at = (width - whole[i] - prompt[i] if left else 0) + prompt[i]
        attention[i, at - prompt[i] : at + whole[i]] = 1
        for s in range(last[i] - steps[i] + 1, last[i] + 1):
            mask[i, at : at + count[s]] = 1
            ids[i, at : at + count[s]] = turn[s]
            at += count[s] + gaps[s]
    return Padded(batch, mask, ids, attention, group, outcome)
