"""Rooms from some of which there is no way out: the rollout goes on in them, but is lost."""

import numpy as np

from stepcredit.envs.tabular import World, even
from stepcredit.errors import StepCreditError


def dead_end(*, seed: int = 0, horizon: int = 6, width: int = 4, actions: int = 3, dead: float = 0.25) -> World:
    """Layers of `width` rooms and `width` dead rooms, deterministic; won where the last room is not dead.

    From a dead room every action leads to dead rooms. From another one an action leads to a dead room with chance
    `dead`, drawn once; at least one action does not. Policy: uniform.

    Args:
        seed: draws where every action leads.
        dead: share of fatal actions, in [0, 1].
    """
    if not 0 <= dead <= 1 or min(horizon, width, actions) < 1:
        raise StepCreditError(
            f"got {dead=}, {horizon=}, {width=}, {actions=}, expected dead in [0, 1], others 1 or more"
        )
    rng = np.random.default_rng(seed)
    rooms = 2 * width
    shape = (horizon, rooms, actions)
    fatal = rng.random(shape) < dead
    fatal &= np.arange(actions) != rng.integers(0, actions, shape[:2])[..., None]
    fatal[:, width:] = True
    to = rng.integers(0, width, shape) + width * fatal
    next_state = np.zeros(((horizon + 1) * rooms, actions, 1), np.int64)
    chance, reward = np.zeros(next_state.shape), np.zeros(next_state.shape)
    inner = horizon * rooms
    next_state[:inner, :, 0] = (to + rooms * (1 + np.arange(horizon)[:, None, None])).reshape(inner, actions)
    chance[:inner] = 1.0
    reward[inner - rooms : inner, :, 0] = ~fatal[-1]
    labels = [
        f"step {t}, {'dead room' if i >= width else 'room'} {i % width}"
        for t in range(horizon + 1)
        for i in range(rooms)
    ]
    return World(f"dead_end/{seed}", chance, next_state, reward, even(chance), horizon, labels=labels)
