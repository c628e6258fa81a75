"""Random layered worlds: every step leads from one layer of states to the next."""

import numpy as np

from stepcredit.envs.tabular import World, even
from stepcredit.errors import StepCreditError


def layered(
    *,
    seed: int = 0,
    horizon: int = 20,
    width: int = 6,
    actions: int = 3,
    noise: float = 0.0,
    branches: int = 3,
    reach: int | None = 1,
    wins: float = 0.4,
    dense: float = 0.0,
) -> World:
    """Layers of `width` states, `actions` each; the upper share `wins` of the last layer earns 1. Policy: uniform.

    The way starts in the middle of its layer. An action leads to one state of the next layer, drawn once; with
    chance `noise` to one of `branches - 1` others instead. With width far above the number of rollouts few states
    repeat.

    Args:
        seed: draws where every action leads, and the rewards.
        horizon: number of steps; 100 and more are fine.
        noise: 0 is deterministic.
        branches: states that an action can lead to where noise is above 0.
        reach: how far up or down an action can lead: what is done early then matters in the end. None: anywhere, so
            that with noise early steps hardly matter.
        wins: share of the last layer, above 0 and below 1.
        dense: spread of the normal reward that each action brings at once; 0: none.
    """
    if min(horizon, actions, branches - 1) < 1 or width < 2 or not 0 <= noise <= 1 or not 0 < wins < 1:
        raise StepCreditError(
            f"got {horizon=}, {width=}, {actions=}, {noise=}, {branches=}, {wins=}",
            hint="horizon and actions are 1 or more, width and branches 2 or more, 0 <= noise <= 1, 0 < wins < 1",
        )
    rng = np.random.default_rng(seed)
    b = branches if noise > 0 else 1
    shape = (horizon, width, actions, b)
    if reach is None:
        to = rng.integers(0, width, shape)
    else:
        to = np.clip(np.arange(width)[:, None, None] + rng.integers(-reach, reach + 1, shape), 0, width - 1)
    inner = horizon * width
    next_state = np.zeros((inner + width, actions, b), np.int64)
    chance, reward = np.zeros(next_state.shape), np.zeros(next_state.shape)
    next_state[:inner] = (to + width * (1 + np.arange(horizon)[:, None, None, None])).reshape(inner, actions, b)
    chance[:inner] = 1.0 if b == 1 else [1 - noise, *[noise / (b - 1)] * (b - 1)]
    reward[inner - width : inner] = to[-1] >= width - max(round(wins * width), 1)
    if dense:
        reward[:inner] += dense * rng.normal(size=(inner, actions, 1))
    return World(
        f"layered/{seed}",
        chance,
        next_state,
        reward,
        even(chance),
        horizon,
        start=width // 2,
        labels=[f"{t}:{i}" for t in range(horizon + 1) for i in range(width)],
    )
