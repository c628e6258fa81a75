"""Two agents: a planner who knows the order and sees no shelf, a worker who sees the note and not the order."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from stepcredit.envs.text_world import Action, Branch, Refused, TextWorld, Tool
from stepcredit.errors import StepCreditError

THINGS = ("lamp", "vase", "clock", "chair", "radio", "globe", "piano", "tent")
SHELVES, GATES = tuple("ABCDEFGH"), tuple("1234")
NOTE = Tool(
    "note",
    "note {code}",
    "Planner: write the next word of the note.",
    {"code": "a shelf, such as B, or a gate, such as 2"},
)
GO = Tool("go", "go to {place}", "Worker: walk to a shelf or a gate.", {"place": "such as shelf B or gate 2"})
TAKE = Tool("take", "take", "Worker: take the box from the shelf where you stand.")
DROP = Tool("drop", "drop", "Worker: put the box down at the gate where you stand. This ends the task.")


class Plan(NamedTuple):
    """What does not change: the thing on each shelf, the shelf and the gate of the order."""

    things: tuple[str, ...]
    shelf: str
    gate: str


class Hall(NamedTuple):
    """The note so far, where the worker stands ("" = the door), from which shelf the box comes, whether it is down."""

    plan: Plan
    note: str = ""
    at: str = ""
    box: str = ""
    down: bool = False


class HandOff(TextWorld[Hall]):
    """See `hand_off`."""

    name, tools = "hand_off", (NOTE, GO, TAKE, DROP)

    def __init__(self, shelves: int, gates: int, horizon: int) -> None:
        self.shelves, self.gates, self.horizon = SHELVES[:shelves], GATES[:gates], horizon

    def start(self, seed: int) -> Hall:
        rng = np.random.default_rng(seed)
        things = tuple(str(t) for t in rng.permutation(THINGS)[: len(self.shelves)])
        return Hall(Plan(things, str(rng.choice(self.shelves)), str(rng.choice(self.gates))))

    def instruction(self, state: Hall) -> str:
        plan = state.plan
        wanted = plan.things[self.shelves.index(plan.shelf)]
        where = ", ".join(f"{thing} {shelf}" for shelf, thing in zip(self.shelves, plan.things, strict=True))
        return (
            f"You are the planner. The {wanted} must go to gate {plan.gate}. Shelves: {where}. "
            "The worker sees only your note: a shelf, then a gate."
        )

    def observe(self, state: Hall) -> str:
        if self.agent(state) == "planner":
            return (
                f"The note is {state.note!r}. Write the gate." if state.note else "The note is empty. Write the shelf."
            )
        if state.down:
            return f"The box from shelf {state.box} is at {state.at}."
        box = f" You hold a box from shelf {state.box}." if state.box else ""
        return f"You are the worker. The note is {state.note!r}. You are at {state.at or 'the door'}.{box}"

    def done(self, state: Hall) -> bool:
        return state.down

    def agent(self, state: Hall) -> str | None:
        return None if state.down else "worker" if len(state.note) == 2 else "planner"

    def actions(self, state: Hall) -> list[str]:
        if self.agent(state) == "planner":
            return [NOTE.write({"code": c}) for c in (self.gates if state.note else self.shelves)]
        out = [GO.write({"place": p}) for p in self._places() if p != state.at]
        if state.at.startswith("shelf") and not state.box:
            out.append(TAKE.form)
        if state.at.startswith("gate") and state.box:
            out.append(DROP.form)
        return out

    def act(self, state: Hall, action: Action) -> Sequence[Branch]:
        if (action.name == "note") != (self.agent(state) == "planner"):
            raise Refused(f"you are the {self.agent(state)}")
        match action:
            case Action("note", {"code": code}):
                known = self.gates if state.note else self.shelves
                if code.upper() not in known:
                    raise Refused(f"{code[:20]!r} is none of {', '.join(known)}")
                return [Branch(1.0, state._replace(note=state.note + code.upper()))]
            case Action("go", {"place": place}):
                found = {p.lower(): p for p in self._places()}.get(place.lower())
                if found is None:
                    raise Refused(f"there is no place {place[:20]!r}")
                return [Branch(1.0, state._replace(at=found))]
            case Action("take"):
                if not state.at.startswith("shelf") or state.box:
                    raise Refused("you hold a box" if state.box else "you are at no shelf")
                return [Branch(1.0, state._replace(box=state.at[-1]))]
            case _:
                if not state.at.startswith("gate") or not state.box:
                    raise Refused("you are at no gate" if state.box else "you hold no box")
                right = (state.box, state.at[-1]) == state.plan[1:]
                return [Branch(1.0, state._replace(down=True), float(right))]

    def expert(self, state: Hall) -> str | None:
        """Each agent does what it should by what it knows: the worker follows a wrong note."""
        if self.agent(state) == "planner":
            return NOTE.write({"code": state.plan.gate if state.note else state.plan.shelf})
        place = f"gate {state.note[1]}" if state.box else f"shelf {state.note[0]}"
        return GO.write({"place": place}) if state.at != place else DROP.form if state.box else TAKE.form

    def _places(self) -> list[str]:
        return [f"shelf {s}" for s in self.shelves] + [f"gate {g}" for g in self.gates]


def hand_off(*, shelves: int = 4, gates: int = 2, horizon: int = 12) -> HandOff:
    """A planner writes a note of two words, a worker brings a box by that note: 1 for the right box at the right gate.

    A wrong word of the planner or a wrong box or gate of the worker fails the run. info["agent"] names who acts next.
    The instruction is the planner's: begin a fresh context where the agent changes, so that the worker reads the note
    alone.

    Args:
        shelves: 2 to 8. gates: 2 to 4.
        horizon: most steps of both together.
    """
    if not 2 <= shelves <= len(SHELVES) or not 2 <= gates <= len(GATES) or horizon < 1:
        raise StepCreditError(
            f"hand_off: got {shelves=}, {gates=}, {horizon=}, expected 2 <= shelves <= {len(SHELVES)}, "
            f"2 <= gates <= {len(GATES)} and horizon 1 or more"
        )
    return HandOff(shelves, gates, horizon)
