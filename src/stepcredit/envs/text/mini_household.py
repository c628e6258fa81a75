"""ALFWorld's shape in one kitchen: find a thing, perhaps clean, heat or cool it, put it where it belongs."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from stepcredit.envs.text_world import Action, Branch, Refused, TextWorld, Tool
from stepcredit.errors import StepCreditError

GO = Tool("go", "go to {place}", "Walk to a place.", {"place": "name of a place, such as fridge"})
OPEN = Tool("open", "open {place}", "Open the place where you stand.", {"place": "name of the place"})
TAKE = Tool("take", "take {thing}", "Take a thing that lies where you stand.", {"thing": "name of the thing"})
PUT = Tool("put", "put {thing}", "Put the thing you hold where you stand.", {"thing": "name of the thing"})
CLEAN = Tool("clean", "clean {thing}", "Clean the thing you hold, at the sink.", {"thing": "name of the thing"})
HEAT = Tool("heat", "heat {thing}", "Heat the thing you hold, at the microwave.", {"thing": "name of the thing"})
COOL = Tool("cool", "cool {thing}", "Cool the thing you hold, at the fridge.", {"thing": "name of the thing"})
LOOK = Tool("look", "look", "Look around.")

PLACES = ("sink", "microwave", "fridge", "table", "drawer", "shelf", "cabinet", "counter", "box", "stool")
CLOSED = frozenset({"microwave", "fridge", "drawer", "cabinet", "box"})
KINDS = ("apple", "cup", "potato", "plate", "egg", "spoon")
# What a tool makes of a thing, and where.
MAKES = {"clean": ("clean", "sink"), "heat": ("hot", "microwave"), "cool": ("cold", "fridge")}
TASKS = ("put", "clean", "heat", "cool", "two")
HELD, MIDDLE = "hand", "middle of the kitchen"


class Plan(NamedTuple):
    """What does not change: the places, the task (of TASKS), the kind of thing that it wants, and where."""

    places: tuple[str, ...]
    task: str
    kind: str
    target: str


class Thing(NamedTuple):
    """A thing: where it is, and what was last done to it ("", "clean", "hot", "cold")."""

    name: str
    place: str
    made: str = ""


class Kitchen(NamedTuple):
    """Where one stands, which places have been opened, where the things are."""

    plan: Plan
    at: str
    opened: frozenset[str]
    things: tuple[Thing, ...]


class MiniHousehold(TextWorld[Kitchen]):
    """See `mini_household`."""

    name, tools = "mini_household", (GO, OPEN, TAKE, PUT, CLEAN, HEAT, COOL, LOOK)

    def __init__(self, task: str | None, places: int, things: int, horizon: int) -> None:
        self.task, self.places, self.things, self.horizon = task, places, things, horizon

    def start(self, seed: int) -> Kitchen:
        rng = np.random.default_rng(seed)
        task = self.task or TASKS[int(rng.integers(len(TASKS) - (self.things < 2)))]
        places = PLACES[: self.places]
        target = str(rng.choice(places))
        order = [str(k) for k in rng.permutation(KINDS)]
        kinds = order[: self.things] if task != "two" else [order[0], *order[: self.things - 1]]
        kind = order[0]
        things = []
        for i, one in enumerate(kinds):
            free = [p for p in places if one != kind or p != target]
            name = f"{one} {kinds[: i + 1].count(one)}" if kinds.count(one) > 1 else one
            things.append(Thing(name, str(rng.choice(free))))
        return Kitchen(Plan(places, task, kind, target), MIDDLE, frozenset(), tuple(things))

    def instruction(self, state: Kitchen) -> str:
        _, task, kind, target = state.plan
        made = f"{MAKES[task][0]} " if task in MAKES else ""
        what = f"two {kind}s" if task == "two" else f"{'an' if (made or kind)[0] in 'aeiou' else 'a'} {made}{kind}"
        aim = f"into the {target}" if target in CLOSED or target == "sink" else f"on the {target}"
        return f"You are in a kitchen with: {', '.join(state.plan.places)}. Put {what} {aim}."

    def observe(self, state: Kitchen) -> str:
        held = self._held(state)
        hand = f" You hold: {_called(held)}." if held else ""
        if state.at == MIDDLE:
            return f"You are in the {MIDDLE}.{hand}"
        if not self._is_open(state, state.at):
            return f"You are at the {state.at}. It is closed.{hand}"
        here = ", ".join(map(_called, self._here(state))) or "nothing"
        return f"You are at the {state.at}. You see: {here}.{hand}"

    def key(self, state: Kitchen) -> str:
        where = "; ".join(f"{_called(t)}: {t.place}" for t in state.things)
        opened = ", ".join(p for p in state.plan.places if p in state.opened) or "none"
        return f"at: {state.at}; open: {opened}; {where}"

    def done(self, state: Kitchen) -> bool:
        return len(self._right(state)) == (2 if state.plan.task == "two" else 1)

    def actions(self, state: Kitchen) -> list[str]:
        out = [GO.write({"place": p}) for p in state.plan.places if p != state.at]
        held = self._held(state)
        if state.at != MIDDLE and not self._is_open(state, state.at):
            out.append(OPEN.write({"place": state.at}))
        elif held is None:
            out += [TAKE.write({"thing": t.name}) for t in self._here(state)]
        elif state.at != MIDDLE:
            out.append(PUT.write({"thing": held.name}))
        if held is not None:
            out += [f"{tool} {held.name}" for tool, (_, place) in MAKES.items() if place == state.at]
        return [*out, LOOK.form]

    def act(self, state: Kitchen, action: Action) -> Sequence[Branch]:
        given = next(iter(action.arguments.values()), "").lower()
        match action.name:
            case "go" | "open":
                after = self._walk_or_open(state, action.name, given)
            case "take":
                thing = next((t for t in self._here(state) if t.name == given), None)
                if thing is None:
                    raise Refused(f"you see no {given[:20]!r} here")
                if self._held(state):
                    raise Refused("you hold something already")
                after = _with(state, thing._replace(place=HELD))
            case "look":
                after = state
            case _:
                after = self._put_or_make(state, action.name, given)
        return [Branch(1.0, after, float(self.done(after)))]

    def expert(self, state: Kitchen) -> str | None:
        task, kind, target = state.plan.task, state.plan.kind, state.plan.target
        held = self._held(state)
        if held is not None:
            ours = held.name.split()[0] == kind
            if ours and task in MAKES and held.made != MAKES[task][0]:
                return self._at(state, MAKES[task][1], f"{task} {held.name}", closed=True)
            if not ours and state.at != MIDDLE and self._is_open(state, state.at):
                return PUT.write({"thing": held.name})
            return self._at(state, target if ours else "sink", PUT.write({"thing": held.name}))
        right = self._right(state)
        thing = next(t for t in state.things if t.name.split()[0] == kind and t not in right)
        return self._at(state, thing.place, TAKE.write({"thing": thing.name}))

    def _at(self, state: Kitchen, place: str, action: str, *, closed: bool = False) -> str:
        """The action if one can do it here, else a step towards it."""
        if state.at != place:
            return GO.write({"place": place})
        return action if closed or self._is_open(state, place) else OPEN.write({"place": place})

    def _walk_or_open(self, state: Kitchen, tool: str, place: str) -> Kitchen:
        if place not in state.plan.places:
            raise Refused(f"there is no place {place[:20]!r}")
        if tool == "go":
            return state._replace(at=place)
        if place != state.at:
            raise Refused(f"you are not at the {place}")
        if self._is_open(state, place):
            raise Refused(f"the {place} is open")
        return state._replace(opened=state.opened | {place})

    def _put_or_make(self, state: Kitchen, tool: str, name: str) -> Kitchen:
        held = self._held(state)
        if held is None or held.name != name:
            raise Refused(f"you do not hold {name[:20]!r}")
        if tool == "put":
            if state.at == MIDDLE:
                raise Refused("there is no place for it here")
            if not self._is_open(state, state.at):
                raise Refused(f"the {state.at} is closed")
            return _with(state, held._replace(place=state.at))
        made, place = MAKES[tool]
        if state.at != place:
            raise Refused(f"you are not at the {place}")
        return _with(state, held._replace(made=made))

    def _is_open(self, state: Kitchen, place: str) -> bool:
        return place not in CLOSED or place in state.opened

    def _here(self, state: Kitchen) -> list[Thing]:
        """What one sees where one stands."""
        return [t for t in state.things if t.place == state.at and self._is_open(state, state.at)]

    def _held(self, state: Kitchen) -> Thing | None:
        return next((t for t in state.things if t.place == HELD), None)

    def _right(self, state: Kitchen) -> list[Thing]:
        """Things that are as and where they are wanted."""
        _, task, kind, target = state.plan
        made = MAKES[task][0] if task in MAKES else None
        ours = [t for t in state.things if t.name.split()[0] == kind and t.place == target]
        return [t for t in ours if made is None or t.made == made]


def _called(thing: Thing) -> str:
    return f"{thing.made} {thing.name}".strip()


def _with(state: Kitchen, thing: Thing) -> Kitchen:
    return state._replace(things=tuple(thing if t.name == thing.name else t for t in state.things))


def mini_household(*, task: str | None = None, places: int = 7, things: int = 4, horizon: int = 20) -> MiniHousehold:
    """Do a chore in a kitchen whose drawers hide what they hold until they are opened: 1 when it is done.

    The state id tells the whole kitchen, what is hidden included; two agents in it may have seen different parts. The
    expert knows where everything is.

    Args:
        task: "put", "clean" (and put), "heat", "cool" or "two" (put two of a kind); None: drawn by the seed.
        places: 3 to 10, always with sink, microwave and fridge. things: 1 to 6; "two" needs 2.
        horizon: most steps.
    """
    if task not in (None, *TASKS):
        raise StepCreditError(f"mini_household: got {task=}, expected None or one of {', '.join(TASKS)}")
    least = 2 if task == "two" else 1
    if not 3 <= places <= len(PLACES) or not least <= things <= len(KINDS) or horizon < 1:
        raise StepCreditError(
            f"mini_household: got {places=}, {things=}, {horizon=}, expected 3 <= places <= {len(PLACES)}, "
            f"{least} <= things <= {len(KINDS)} and horizon 1 or more"
        )
    return MiniHousehold(task, places, things, horizon)
