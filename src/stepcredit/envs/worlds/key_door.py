"""A grid: fetch the key, then open the door."""

import numpy as np

from stepcredit.envs.tabular import Moves, World, noisy_optimal, tabulate
from stepcredit.errors import StepCreditError

WAYS = {"north": (0, -1), "east": (1, 0), "south": (0, 1), "west": (-1, 0)}
Node = tuple[int, int, bool]


def key_door(
    *, seed: int = 0, size: int = 4, horizon: int = 20, slip: float = 0.0, key: float = 0.0, temperature: float = 0.1
) -> World:
    """A grid of size x size fields: walking onto the key takes it, walking onto the door with it earns 1 and ends.

    States repeat, and the field one stands on does not tell the steps left. Policy: `noisy_optimal(temperature)`.

    Args:
        seed: draws the fields of start, key and door.
        slip: chance that a step goes another way than meant, drawn evenly from all four.
        key: reward for taking the key.
    """
    if size < 2 or not 0 <= slip <= 1:
        raise StepCreditError(f"got {size=}, {slip=}, expected size 2 or more and slip in [0, 1]")
    rng = np.random.default_rng(seed)
    start, hidden, door = (divmod(i, size) for i in rng.choice(size * size, 3, replace=False).tolist())

    def go(node: Node, way: tuple[int, int]) -> tuple[Node, float]:
        x, y = (min(max(at + by, 0), size - 1) for at, by in zip(node, way, strict=False))
        has = node[2] or (x, y) == hidden
        return (x, y, has), key * (has and not node[2]) + float(has and (x, y) == door)

    def moves(node: Node) -> Moves:
        if node[2] and node[:2] == door:
            return {}
        ways = {name: go(node, way) for name, way in WAYS.items()}
        slips = [(slip / len(ways), *end) for end in ways.values()] if slip else []
        return {name: [(1 - slip, *end), *slips] for name, end in ways.items()}

    world = tabulate(
        f"key_door/{seed}",
        (*start, False),
        moves,
        horizon,
        label=lambda node: f"x={node[0]} y={node[1]}" + " key" * node[2],
    )
    return noisy_optimal(world, temperature)
