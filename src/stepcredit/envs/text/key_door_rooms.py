"""Two rooms with a locked door between them: fetch the key, open the door, reach the goal."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from stepcredit.envs.text._grid import GO, WAYS, Field, ahead, path
from stepcredit.envs.text_world import Action, Branch, Refused, TextWorld, Tool
from stepcredit.errors import StepCreditError

TAKE = Tool("take", "take key", "Take the key that lies where you stand.")
OPEN = Tool("open", "open door", "Open the door east of where you stand, with the key.")


class Plan(NamedTuple):
    """What does not change: row of the door in the wall, fields of key and goal."""

    door: int
    key: Field
    goal: Field


class Rooms(NamedTuple):
    """Where one stands, whether one has the key, whether the door is open."""

    plan: Plan
    field: Field
    key: bool = False
    open: bool = False


class KeyDoorRooms(TextWorld[Rooms]):
    """See `key_door_rooms`."""

    name, tools = "key_door_rooms", (GO, TAKE, OPEN)

    def __init__(self, size: int, horizon: int) -> None:
        self.size, self.horizon = size, horizon

    def start(self, seed: int) -> Rooms:
        rng = np.random.default_rng(seed)
        n = self.size
        at, key = (divmod(int(i), n) for i in rng.choice(n * n, 2, replace=False))
        goal = divmod(int(rng.integers(n * n)), n)
        return Rooms(Plan(int(rng.integers(n)), key, (goal[0], goal[1] + n)), at)

    def instruction(self, state: Rooms) -> str:
        plan = state.plan
        return (
            f"Two rooms of {self.size} by {self.size}. Key at {_at(plan.key)}, goal at {_at(plan.goal)}, "
            f"door from {_at((plan.door, self.size - 1))} to the east."
        )

    def observe(self, state: Rooms) -> str:
        where = f"You are at {_at(state.field)}."
        return where + " You have the key." * state.key + " The door is open." * state.open

    def done(self, state: Rooms) -> bool:
        return state.field == state.plan.goal

    def actions(self, state: Rooms) -> list[str]:
        out = [GO.write({"way": way}) for way in WAYS]
        if not state.key and state.field == state.plan.key:
            out.append(TAKE.form)
        if state.key and not state.open and state.field == (state.plan.door, self.size - 1):
            out.append(OPEN.form)
        return out

    def act(self, state: Rooms, action: Action) -> Sequence[Branch]:
        match action.name:
            case "go":
                way = action.arguments["way"].lower()
                if way not in WAYS:
                    raise Refused(f"there is no way {way[:20]!r}")
                there = self._ahead(state, state.field, way)
                return [Branch(1.0, state._replace(field=there), float(there == state.plan.goal))]
            case "take":
                if state.key or state.field != state.plan.key:
                    raise Refused("no key lies here")
                return [Branch(1.0, state._replace(key=True))]
            case _:
                if state.open or state.field != (state.plan.door, self.size - 1):
                    raise Refused("there is no closed door here")
                if not state.key:
                    raise Refused("the door is locked")
                return [Branch(1.0, state._replace(open=True))]

    def expert(self, state: Rooms) -> str | None:
        door = (state.plan.door, self.size - 1)
        if not state.key and not state.open and state.field[1] < self.size:
            if state.field == state.plan.key:
                return TAKE.form
            goal = state.plan.key
        elif not state.open:
            if state.field == door:
                return OPEN.form
            goal = door
        else:
            goal = state.plan.goal
        ways = path(state.field, goal, lambda here, way: self._ahead(state, here, way))
        return GO.write({"way": ways[0]}) if ways else None

    def _ahead(self, state: Rooms, here: Field, way: str) -> Field:
        there = ahead(here, way, self.size, 2 * self.size)
        through = (here[1] < self.size) != (there[1] < self.size)
        return here if through and not (state.open and here[0] == state.plan.door) else there


def _at(field: Field) -> str:
    """A field as on a chess board: columns a, b, ..., rows 1, 2, ..."""
    return f"{chr(ord('a') + field[1])}{field[0] + 1}"


def key_door_rooms(*, size: int = 3, horizon: int = 24) -> KeyDoorRooms:
    """Two rooms and a locked door: take the key, open the door, walk to the goal in the other room; 1 there.

    Args:
        size: fields per side of a room, at most 13.
        horizon: most steps.
    """
    if not 2 <= size <= 13 or horizon < 1:
        raise StepCreditError(
            f"key_door_rooms: got {size=}, {horizon=}, expected 2 <= size <= 13 and horizon 1 or more"
        )
    return KeyDoorRooms(size, horizon)
