"""FrozenLake as text: cross the ice, do not fall in."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from stepcredit.envs.text._grid import GO, WAYS, Field, ahead, path
from stepcredit.envs.text_world import Action, Branch, Refused, TextWorld
from stepcredit.errors import StepCreditError


class Lake(NamedTuple):
    """Where one stands, and the map: rows of S (start), F (ice), H (hole), G (goal)."""

    field: Field
    map: tuple[str, ...]


class FrozenLake(TextWorld[Lake]):
    """See `frozen_lake`."""

    name, tools = "frozen_lake", (GO,)

    def __init__(self, size: int, holes: float, slip: float, horizon: int) -> None:
        self.size, self.holes, self.slip, self.horizon = size, holes, slip, horizon

    def start(self, seed: int) -> Lake:
        rng = np.random.default_rng(seed)
        while True:
            grid = np.where(rng.random((self.size, self.size)) < self.holes, "H", "F")
            grid[0, 0], grid[-1, -1] = "S", "G"
            lake = Lake((0, 0), tuple("".join(row) for row in grid))
            if self._way(lake) is not None:
                return lake

    def instruction(self, state: Lake) -> str:
        lines = "\n".join(state.map)
        return f"Walk from S to G over the ice F. H is a hole.\n{lines}"

    def observe(self, state: Lake) -> str:
        row, column = state.field
        what = {"H": " You fell into a hole.", "G": " You are there."}.get(state.map[row][column], "")
        return f"You are at row {row + 1}, column {column + 1}.{what}"

    def done(self, state: Lake) -> bool:
        return state.map[state.field[0]][state.field[1]] in "HG"

    def actions(self, state: Lake) -> list[str]:
        return [GO.write({"way": way}) for way in WAYS]

    def act(self, state: Lake, action: Action) -> Sequence[Branch]:
        way = action.arguments["way"].lower()
        if way not in WAYS:
            raise Refused(f"there is no way {way[:20]!r}")
        return [self._branch(state, w, chance) for w, chance in self._ways(way)]

    def expert(self, state: Lake) -> str | None:
        ways = self._way(state)
        return GO.write({"way": ways[0]}) if ways else None

    def _ways(self, way: str) -> list[tuple[str, float]]:
        if not self.slip:
            return [(way, 1.0)]
        order = list(WAYS)
        at = order.index(way)
        sides = (order[at - 1], order[(at + 1) % 4])
        return [(way, 1 - self.slip), *((side, self.slip / 2) for side in sides)]

    def _branch(self, state: Lake, way: str, chance: float) -> Branch:
        there = ahead(state.field, way, self.size, self.size)
        return Branch(chance, Lake(there, state.map), float(state.map[there[0]][there[1]] == "G"))

    def _way(self, state: Lake) -> list[str] | None:
        def step(here: Field, way: str) -> Field | None:
            there = ahead(here, way, self.size, self.size)
            return None if state.map[there[0]][there[1]] == "H" else there

        return path(state.field, (self.size - 1, self.size - 1), step)


def frozen_lake(*, size: int = 4, holes: float = 0.2, slip: float = 0.0, horizon: int = 20) -> FrozenLake:
    """Walk over a frozen lake from corner to corner: 1 at the goal; a hole ends the walk with 0.

    Args:
        size: fields per side. holes: share of fields that are holes; maps without a way are drawn again.
        slip: chance to slide sideways, each side half of it.
        horizon: most steps.
    """
    if size < 2 or not 0 <= holes < 1 or not 0 <= slip <= 1 or horizon < 1:
        raise StepCreditError(f"frozen_lake: got {size=}, {holes=}, {slip=}, {horizon=}, expected a size of 2 or more")
    return FrozenLake(size, holes, slip, horizon)
