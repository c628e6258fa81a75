"""A ring that is walked both ways: rollouts come back to the same states."""

import numpy as np

from stepcredit.envs.tabular import Moves, World, tabulate
from stepcredit.errors import StepCreditError


def ring(*, seed: int = 0, length: int = 8, horizon: int = 24, slip: float = 0.1) -> World:
    """Places 0, 1, ..., length - 1 in a circle; start at 0, won on reaching the place opposite within the horizon.

    At each place one of the actions "left", "right" goes on and the other back, as the seed has drawn. The same place
    with fewer steps left is worth less, and its label does not tell. Policy: uniform.

    Args:
        seed: draws which action goes on at each place.
        length: number of places, 3 or more.
        slip: chance that the step goes the other way.
    """
    if length < 3 or not 0 <= slip <= 1:
        raise StepCreditError(f"got {length=}, {slip=}, expected length 3 or more and slip in [0, 1]")
    goal = length // 2
    onward: list[int] = np.random.default_rng(seed).choice([-1, 1], length).tolist()

    def moves(place: int) -> Moves:
        if place == goal:
            return {}

        def step(by: int) -> list[tuple[float, int, float]]:
            ends = [(1 - slip, (place + by) % length), (slip, (place - by) % length)]
            return [(chance, end, float(end == goal)) for chance, end in ends]

        return {"left": step(-onward[place]), "right": step(onward[place])}

    return tabulate(f"ring/{seed}", 0, moves, horizon, label=lambda place: f"place {place}")
