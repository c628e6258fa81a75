"""Steps of different weight add up, and the sum must reach a threshold."""

from collections.abc import Sequence

import numpy as np

from stepcredit.envs.tabular import World
from stepcredit.envs.worlds._chain import chain, right_actions
from stepcredit.errors import StepCreditError


def threshold(
    *, seed: int = 0, horizon: int = 8, weights: Sequence[int] | None = None, level: int = 0, actions: int = 2
) -> World:
    """A chain that is won if the weights of right steps minus those of wrong ones are `level` or more. Policy: uniform.

    Args:
        seed: draws the right action of each step, and the weights.
        horizon: number of steps where no weights are given.
        weights: whole numbers, one per step; 0 is a distractor. None: drawn from 0, 0, 1, 2, 3.
        actions: number of actions at each step, one of them right.
    """
    if weights is None:
        drawn: list[int] = np.random.default_rng([seed, 1]).choice([0, 0, 1, 2, 3], horizon).tolist()
        weights = drawn
    if any(w != int(w) for w in weights):
        raise StepCreditError(f"got weights={tuple(weights)}, expected whole numbers")
    return chain(
        f"threshold/{seed}",
        right_actions(seed, len(weights), actions),
        actions,
        0,
        lambda t, total, good: total + (int(weights[t]) if good else -int(weights[t])),
        lambda total: total >= level,
        lambda node: f"step {node[0]}, sum {node[1]}",
    )
