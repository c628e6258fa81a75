"""Grids that text worlds walk on."""

from collections import deque
from collections.abc import Callable

from stepcredit.envs.text_world import Tool

Field = tuple[int, int]

WAYS = {"north": (-1, 0), "east": (0, 1), "south": (1, 0), "west": (0, -1)}
GO = Tool("go", "go {way}", "Walk one field.", {"way": tuple(WAYS)})


def ahead(field: Field, way: str, rows: int, columns: int) -> Field:
    """The field one walks to; the same at the edge."""
    down, right = WAYS[way]
    return min(max(field[0] + down, 0), rows - 1), min(max(field[1] + right, 0), columns - 1)


def path(start: Field, goal: Field, step: Callable[[Field, str], Field | None]) -> list[str] | None:
    """The ways of a shortest walk, ties by the order of WAYS; None where there is none. step: None = not that way."""
    came: dict[Field, tuple[Field, str] | None] = {start: None}
    queue = deque([start])
    while queue and goal not in came:
        here = queue.popleft()
        for way in WAYS:
            there = step(here, way)
            if there is not None and there not in came:
                came[there] = (here, way)
                queue.append(there)
    if goal not in came:
        return None
    out, at = [], came[goal]
    while at is not None:
        out.append(at[1])
        at = came[at[0]]
    return out[::-1]
