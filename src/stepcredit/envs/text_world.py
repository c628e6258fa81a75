"""Worlds to act in by text: what an agent sees, does and gets, in states that can be compared and forked.

A world is a set of pure functions of an immutable state; an `Episode` walks through it the gymnasium way
(`reset`, `step`), or by the tool calls of an OpenAI-compatible model (`tools`, `call`).

>>> from stepcredit.envs import text
>>> episode = text.get("key_door_rooms")(size=3).episode()
>>> observation, info = episode.reset(seed=0)
>>> observation, reward, terminated, truncated, info = episode.step(episode.expert())
>>> reward, terminated, info["valid"], sorted(info)
(0.0, False, True, ['reason', 'state', 'valid'])
>>> twin = episode.fork()
>>> twin.state == episode.state
True
"""

import copy
import re
from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np

from stepcredit.envs.tabular import Moves, World, tabulate
from stepcredit.errors import StepCreditError, UnknownName

S = TypeVar("S", bound=Hashable)

Seen = tuple[str, dict[str, Any]]
Stepped = tuple[str, float, bool, bool, dict[str, Any]]


@dataclass(frozen=True)
class Action:
    """A tool and its arguments, all text. `match action: case Action("go", {"way": way})` reads it."""

    name: str
    arguments: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Tool:
    """One thing an agent can do, in words and as a function for a model that calls tools.

    Args:
        form: how it is written, parameters in braces; it begins with a word of its own: "put {thing} in {place}". The
            last parameter takes the rest of the text.
        doc: what it does. parameters: each parameter of the form -> what it is, or a tuple of all it can be.

    >>> put = Tool("put", "put {thing} in {place}", "Put down.", {"thing": "what to put", "place": ("sink", "oven")})
    >>> put.write({"thing": "red cup", "place": "sink"}), put.read("Put red cup in sink ")
    ('put red cup in sink', Action(name='put', arguments={'thing': 'red cup', 'place': 'sink'}))
    """

    name: str
    form: str
    doc: str
    parameters: Mapping[str, str | tuple[str, ...]] = field(default_factory=dict)

    def write(self, arguments: Mapping[str, str]) -> str:
        """The action as text."""
        return self.form.format(**arguments)

    def read(self, text: str) -> Action | None:
        """The action that text names; None where it is not of this form."""
        found = self._pattern.fullmatch(text.strip())
        return None if found is None else Action(self.name, {n: v.strip() for n, v in found.groupdict().items()})

    @property
    def schema(self) -> dict[str, Any]:
        """As an entry of `tools` in a chat completion."""
        properties = {
            name: {"type": "string", "enum": list(what)}
            if isinstance(what, tuple)
            else {"type": "string", "description": what}
            for name, what in self.parameters.items()
        }
        parameters = {"type": "object", "properties": properties, "required": list(properties)}
        return {
            "type": "function",
            "function": {"name": self.name, "description": self.doc, "parameters": parameters},
        }

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        parts = re.split(r"\{(\w+)\}", self.form)
        names, last = parts[1::2], len(parts) // 2 - 1
        out = re.escape(parts[0])
        for i, (name, after) in enumerate(zip(names, parts[2::2], strict=True)):
            out += f"(?P<{name}>{'.+' if i == last else '.+?'}){re.escape(after)}"
        return re.compile(out, re.IGNORECASE | re.DOTALL)


class Branch(NamedTuple):
    """What can follow an action.

    says: what the agent reads before the new state's own observation. fields: what a record of the step should tell
    besides, such as names of documents found: info["fields"].
    """

    chance: float
    state: Any
    reward: float = 0.0
    says: str = ""
    fields: Mapping[str, Any] = {}


class Refused(Exception):
    """The action cannot be taken here; the text says why. The state stays, the step is spent."""


class TextWorld(ABC, Generic[S]):
    """A kind of task, as pure functions of an immutable, hashable state that holds the whole task.

    A subclass says `name`, `tools`, `horizon` (most steps of an episode) and the functions below; what an agent
    may see of a state is `observe`, what is equal about two states is `key`.
    """

    name: str
    tools: tuple[Tool, ...]
    horizon: int

    @abstractmethod
    def start(self, seed: int) -> S:
        """The first state of the task with this number."""

    @abstractmethod
    def instruction(self, state: S) -> str:
        """What is asked for, told once at the beginning."""

    @abstractmethod
    def observe(self, state: S) -> str:
        """What the agent sees in the state."""

    @abstractmethod
    def act(self, state: S, action: Action) -> Sequence[Branch]:
        """What can follow; chances sum to 1. Raises Refused where the action cannot be taken."""

    @abstractmethod
    def done(self, state: S) -> bool:
        """Whether the episode has ended here."""

    def actions(self, state: S) -> list[str]:
        """All that can be done here, as text; empty where there is no list (free text)."""
        return []

    def expert(self, state: S) -> str | None:
        """A good action here, as text; None where nobody knows."""
        return None

    def key(self, state: S) -> str:
        """State id: equal exactly where steps are comparable, within one task."""
        return self.observe(state)

    def agent(self, state: S) -> str | None:
        """Who acts in the state, where there are several; None where nobody does."""
        return None

    def episode(self) -> "Episode":
        """A new episode; `reset` it."""
        return Episode(self)

    def read(self, text: str) -> Action | None:
        """The action that text names; None where no tool has that form."""
        return next((found for tool in self.tools if (found := tool.read(text))), None)

    def tool(self, name: str) -> Tool:
        """The tool of this name. Raises UnknownName."""
        for tool in self.tools:
            if tool.name == name:
                return tool
        raise UnknownName(f"tool of {self.name}", name, [t.name for t in self.tools])

    def table(self, seed: int) -> World:
        """The task as tables, with the uniform policy: exact values, `stepcredit.envs.tabular.evaluate`.

        Raises:
            StepCreditError: the world does not list its actions.
        """

        def moves(state: S) -> Moves:
            if self.done(state):
                return {}
            out = {}
            for text in self.actions(state):
                action = self.read(text)
                if action is None:
                    raise StepCreditError(f"{self.name} lists the action {text!r}, which none of its tools can read")
                out[text] = [(b.chance, b.state, b.reward) for b in self.act(state, action)]
            if not out:
                raise StepCreditError(f"{self.name} has no list of actions: it cannot be made a table")
            return out

        start = self.start(seed)
        who = None if self.agent(start) is None else lambda state: self.agent(state) or ""
        return tabulate(f"{self.name}/{seed}", start, moves, self.horizon, label=self.key, agent=who)


class Episode:
    """One walk through a world. The same seeds and actions give the same walk.

    outcome: sum of the rewards so far. steps: taken so far.
    """

    def __init__(self, world: TextWorld[Any]) -> None:
        self.world = world
        self.seed = 0
        self.steps = 0
        self.outcome = 0.0
        self._state: Any = None
        self._ended = True
        self._random = np.random.default_rng(0)

    @property
    def tools(self) -> list[dict[str, Any]]:
        """The tools as a chat completion takes them."""
        return [tool.schema for tool in self.world.tools]

    @property
    def state(self) -> str:
        """Id of the state: equal exactly where steps of one task are comparable."""
        self._begun()
        return self.world.key(self._state)

    @property
    def agent(self) -> str | None:
        """Who acts now, where there are several agents; None where nobody is named."""
        self._begun()
        return self.world.agent(self._state)

    @property
    def ended(self) -> bool:
        """Whether there is nothing more to do."""
        return self._ended

    def reset(self, *, seed: int | None = None, options: Mapping[str, Any] | None = None) -> Seen:
        """Begin the task with this number: instruction and first observation, info.

        Args:
            seed: of the task; None = the next one.
            options: {"luck": n} draws the chances of the world from n instead of the task's number.
        """
        self.seed = self.seed + 1 if seed is None else seed
        self._random = np.random.default_rng((abs(int((options or {}).get("luck", 0))), self.seed))
        self._state, self.steps, self.outcome = self.world.start(self.seed), 0, 0.0
        self._ended = self.world.done(self._state)
        text = f"{self.world.instruction(self._state)}\n{self.world.observe(self._state)}"
        return text, self._info(None, {})

    def step(self, action: str) -> Stepped:
        """Act by text: observation, reward, terminated, truncated, info.

        Text that names no action, or one that cannot be taken, spends the step and changes nothing:
        info["valid"] is False and info["reason"] says why. info["agent"] is who acts next, where agents are named;
        info["fields"] what a record of the step should tell besides, where there is such.
        """
        read = self.world.read(action)
        names = ", ".join(tool.form for tool in self.world.tools)
        return self._step(read, None if read else f"there is no action {action.strip()[:80]!r}; there are: {names}")

    def call(self, name: str, arguments: Mapping[str, Any]) -> Stepped:
        """Act by a tool call; as `step`."""
        try:
            tool = self.world.tool(str(name)[:80])
        except UnknownName as error:
            return self._step(None, error.message)
        given = {n: _argument(arguments, n) for n in tool.parameters}
        missing = [n for n, value in given.items() if not value]
        if missing:
            return self._step(None, f"{name} needs {', '.join(missing)}, as text")
        return self._step(Action(name, given), None)

    def actions(self) -> list[str]:
        """All that can be done now, as text; empty where there is no list."""
        self._begun()
        return [] if self._ended else self.world.actions(self._state)

    def expert(self) -> str | None:
        """A good action now, as text; None where nobody knows."""
        self._begun()
        return None if self._ended else self.world.expert(self._state)

    def fork(self) -> "Episode":
        """A copy that goes its own way from here, with the same luck for the same actions."""
        twin = copy.copy(self)
        twin._random = copy.deepcopy(self._random)
        return twin

    def close(self) -> None:
        """Nothing to close."""

    def _step(self, action: Action | None, reason: str | None) -> Stepped:
        self._begun()
        if self._ended:
            raise StepCreditError(f"{self.world.name}: the episode has ended", hint="reset() begins another")
        self.steps += 1
        branch = Branch(1.0, self._state)
        if action is not None:
            try:
                branch = self._draw(self.world.act(self._state, action))
            except Refused as refused:
                reason = str(refused)
        self._state = branch.state
        self.outcome += branch.reward
        terminated = self.world.done(self._state)
        truncated = not terminated and self.steps >= self.world.horizon
        self._ended = terminated or truncated
        says = f"Nothing happens: {reason}." if reason else branch.says
        observation = "\n".join(filter(None, (says, self.world.observe(self._state))))
        return observation, branch.reward, terminated, truncated, self._info(reason, branch.fields)

    def _draw(self, branches: Sequence[Branch]) -> Branch:
        if len(branches) == 1:
            return branches[0]
        chance = np.cumsum([b.chance for b in branches])
        return branches[int(np.searchsorted(chance / chance[-1], self._random.random(), side="right"))]

    def _info(self, reason: str | None, fields: Mapping[str, Any]) -> dict[str, Any]:
        info = {"state": self.world.key(self._state), "valid": reason is None, "reason": reason}
        some = {"agent": self.world.agent(self._state), "fields": dict(fields) or None}
        return info | {name: value for name, value in some.items() if value is not None}

    def _begun(self) -> None:
        if self._state is None:
            raise StepCreditError(f"{self.world.name}: no episode has begun", hint="reset(seed=0) first")


def _argument(arguments: Any, name: str) -> str:
    """As text; empty where there is none, or another thing than text or a number."""
    value = arguments.get(name) if isinstance(arguments, Mapping) else None
    small = isinstance(value, str | float) or (isinstance(value, int) and value.bit_length() < 64)
    return str(value).strip() if small else ""


def walk(episode: Episode, policy: Any, *, seed: int, luck: int = 0) -> Iterator[tuple[str, str, Stepped]]:
    """Act to the end: (state id, action text, what `step` gave) of each step; policy: episode -> action text."""
    episode.reset(seed=seed, options={"luck": luck})
    while not episode.ended:
        state, action = episode.state, policy(episode)
        yield state, action, episode.step(action)
