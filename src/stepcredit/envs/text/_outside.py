"""Worlds of other packages: a game that changes as one acts, walked through like any other text world."""

import copy
import io
import warnings
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, Self, TypeVar

import numpy as np

from stepcredit.envs.tabular import World
from stepcredit.envs.text_world import Action, Branch, Episode, Refused, Seen, Stepped, TextWorld
from stepcredit.errors import StepCreditError

G = TypeVar("G", bound="Game")


@dataclass(eq=False)
class Game:
    """A task of another package in play. It belongs to one episode.

    inner: what the package plays it with. seed, luck: as `reset` was given. text: what the agent sees now.
    steps: spent. past: actions so far, those refused too; text that no tool could read is not among them.
    broken: whether the package has raised; it is then not played on.
    """

    inner: Any
    seed: int
    luck: int
    text: str = ""
    ended: bool = False
    steps: int = 0
    past: list[Action] = field(default_factory=list)
    broken: bool = False


class Outside(TextWorld[Any]):
    """A world whose state is the running game itself: `act` changes it, where other worlds return another.

    A subclass says what a TextWorld says, with `begin` for `start` and `take` for `act`.
    """

    @abstractmethod
    def begin(self, seed: int, luck: int, before: Any) -> Any:
        """The game of the task with this number; its chances hang on luck too.

        before: the game that the episode leaves (None: it is the first), to take over or let go of.
        """

    @abstractmethod
    def take(self, game: Any, action: Action) -> tuple[float, str]:
        """Act in the game: reward, and what the agent reads before the observation. Raises Refused."""

    def copy(self, game: Any) -> Any:
        """A game that goes its own way from here."""
        return copy.deepcopy(game)

    def shut(self, game: Any) -> None:
        """Let go of the game's processes and files."""

    def start(self, seed: int) -> Any:
        return self.begin(seed, 0, None)

    def observe(self, state: Any) -> str:
        text: str = state.text
        return text

    def done(self, state: Any) -> bool:
        ended: bool = state.ended
        return ended

    def act(self, state: Any, action: Action) -> Sequence[Branch]:
        state.past.append(action)
        reward, says = self.take(state, action)
        return [Branch(1.0, state, reward, says)]

    def replay(self, game: G) -> G:
        """The game, played again from its beginning: a copy where the package has none."""
        twin: G = self.begin(game.seed, game.luck, None)
        for action in game.past:
            with suppress(Refused):
                self.act(twin, action)
        twin.steps = game.steps
        return twin

    def table(self, seed: int) -> World:
        raise StepCreditError(f"{self.name} is played by another package: it cannot be made a table")

    def episode(self) -> "OutsideEpisode":
        return OutsideEpisode(self)


class OutsideEpisode(Episode):
    """One walk through a game of another package. What the package raises comes out of `step`, and ends the episode."""

    world: Outside

    def reset(self, *, seed: int | None = None, options: Mapping[str, Any] | None = None) -> Seen:
        luck = abs(int((options or {}).get("luck", 0)))
        self.seed = self.seed + 1 if seed is None else seed
        before, self._state, self._ended = self._state, None, True
        if before is not None and before.broken:
            with suppress(Exception):
                self.world.shut(before)
            before = None
        self._random = np.random.default_rng((luck, self.seed))
        self._state = self.world.begin(self.seed, luck, before)
        self.steps, self.outcome, self._ended = 0, 0.0, self.world.done(self._state)
        text = f"{self.world.instruction(self._state)}\n{self.world.observe(self._state)}"
        return text, self._info(None, {})

    def fork(self) -> Self:
        twin = copy.copy(self)
        twin._random = copy.deepcopy(self._random)
        twin._state = None if self._state is None else self.world.copy(self._state)
        return twin

    def close(self) -> None:
        """Let go of the game; `reset` begins another."""
        if self._state is not None:
            self.world.shut(self._state)
        self._state, self._ended = None, True

    def _step(self, action: Action | None, reason: str | None) -> Stepped:
        playing = not self._ended
        if playing:
            self._state.steps = self.steps + 1
        try:
            return super()._step(action, reason)
        except Exception:
            if playing:
                self._ended = self._state.broken = True
            raise


class _Quiet:
    """What is set aside while anybody is inside; threads come and go in any order."""

    def __init__(self) -> None:
        self.lock, self.inside, self.aside = Lock(), 0, ExitStack()

    def enter(self) -> None:
        with self.lock:
            if not self.inside:
                self.aside.enter_context(redirect_stdout(io.StringIO()))
                self.aside.enter_context(redirect_stderr(io.StringIO()))
                self.aside.enter_context(warnings.catch_warnings(action="ignore"))
            self.inside += 1

    def leave(self) -> None:
        with self.lock:
            self.inside -= 1
            if not self.inside:
                self.aside.close()


_QUIET = _Quiet()


@contextmanager
def quiet() -> Iterator[None]:
    """What a package prints, and warns of itself, while it makes a game is nobody's business."""
    _QUIET.enter()
    try:
        yield
    finally:
        _QUIET.leave()
