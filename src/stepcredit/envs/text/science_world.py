"""ScienceWorld: experiments of a school's science lessons, in a simulator that runs in a Java machine."""

import hashlib
import os
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from threading import Lock
from typing import Any

from stepcredit.envs.text._outside import Game, Outside
from stepcredit.envs.text_world import Action, Refused, Tool
from stepcredit.errors import StepCreditError, UnknownName
from stepcredit.plugins import extra

DO = Tool("do", "{command}", "Do something.", {"command": "such as open door to kitchen, pick up pot, look around"})
# Sets of the simulator are walked in the order of hashes, which otherwise differ from run to run.
_JAVA = "-XX:+UnlockExperimentalVMOptions -XX:hashCode=2"
_UNKNOWN = ("No known action matches that input", "Unknown action")
_LONGEST = 200
_START = Lock()


@dataclass(eq=False)
class _Lesson(Game):
    """gold: the simulator's own way to the end. done: how much of it has been gone; None once one has left it."""

    gold: tuple[str, ...] = ()
    done: int | None = 0
    score: float = 0.0
    says: str = ""


class ScienceWorld(Outside):
    """See `science_world`."""

    name, tools = "science_world", (DO,)

    def __init__(self, package: Any, task: str, simplify: str, horizon: int) -> None:
        self.task, self.simplify, self.horizon, self._package = task, simplify, horizon, package

    def begin(self, seed: int, luck: int, before: Any) -> _Lesson:
        inner = self._started() if before is None else before.inner
        chances, variation = _chances(inner), seed % inner.get_max_variations(self.task)
        chances.setSeed(seed)
        inner.load(self.task, variation, self.simplify, True)
        gold = tuple(inner.get_gold_action_sequence())
        # The gold path was made by walking it.
        chances.setSeed(seed)
        inner.load(self.task, variation, self.simplify, False)
        chances.setSeed(2**20 * luck + seed)
        return _Lesson(inner, seed, luck, gold=gold)

    def copy(self, game: _Lesson) -> _Lesson:
        return self.replay(game)

    def shut(self, game: _Lesson) -> None:
        game.inner.stop()

    def instruction(self, state: _Lesson) -> str:
        return str(state.inner.get_task_description())

    def observe(self, state: _Lesson) -> str:
        return f"{state.inner.look()}\n{state.inner.inventory()}".strip()

    def key(self, state: _Lesson) -> str:
        text = f"{self.observe(state)}\n{state.inner.get_goal_progress()}\n{state.says if _asks(state.says) else ''}"
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def actions(self, state: _Lesson) -> list[str]:
        return sorted(state.inner.get_valid_action_object_combinations())

    def take(self, game: _Lesson, action: Action) -> tuple[float, str]:
        command = " ".join(action.arguments["command"].split())
        if len(command) > _LONGEST or not command.isascii():
            raise Refused(f"a command is at most {_LONGEST} characters of ASCII")
        says = str(game.inner.server.step(command)).strip()
        if says.startswith(_UNKNOWN):
            raise Refused("the simulator knows no such action here")
        game.says = says
        if game.done is not None:
            goes = game.done < len(game.gold) and command == game.gold[game.done]
            game.done = game.done + 1 if goes else None
        before, game.score = game.score, float(game.inner.server.getScore())
        game.ended = bool(game.inner.server.getCompleted()) or game.score < 0
        return game.score - before, says

    def expert(self, state: _Lesson) -> str | None:
        left = () if state.done is None else state.gold[state.done :]
        return left[0] if left else None

    def _started(self) -> Any:
        with _java_options():
            # The episode counts steps.
            inner = self._package.ScienceWorldEnv("", envStepLimit=10**9)
        inner.stop = weakref.finalize(inner, _stop, inner._gateway, inner._obj_tree_tempdir)
        return inner


def _asks(says: str) -> bool:
    """Whether the simulator waits for the number of what was meant."""
    return says.startswith("Ambiguous request")


def _chances(inner: Any) -> Any:
    """The one source of chances in the Java machine."""
    return getattr(getattr(inner._gateway.jvm.scala.util, "Random$"), "MODULE$")


def _stop(gateway: Any, folder: Any) -> None:
    """Once for each Java machine: when it is closed, forgotten, or Python ends."""
    folder.cleanup()
    gateway.shutdown()
    process = gateway.java_process
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with suppress(OSError):
                pipe.close()


@contextmanager
def _java_options() -> Iterator[None]:
    """The package starts Java without options of ours; Java reads them from the environment, one start at a time."""
    with _START:
        before = os.environ.get("JAVA_TOOL_OPTIONS")
        os.environ["JAVA_TOOL_OPTIONS"] = f"{before or ''} {_JAVA}".strip()
        try:
            yield
        finally:
            if before is None:
                del os.environ["JAVA_TOOL_OPTIONS"]
            else:
                os.environ["JAVA_TOOL_OPTIONS"] = before


def science_world(*, task: str = "boil", simplify: str = "", horizon: int = 100) -> ScienceWorld:
    """A task of ScienceWorld: the share of it that was done, -1 for a mistake that cannot be mended.

    The task's number, modulo how many there are, is the variation. A state is what one sees, has and has achieved; the
    temperatures of things are no part of it, and it repeats where only they differ. Hundreds of actions, and listing
    them is slow. The expert follows the simulator's own way to the end and knows nothing once one has left it. Each
    episode holds a Java machine until it is closed; a fork starts another and plays all steps again.

    Args:
        task: such as boil, find-living-thing, grow-plant, test-conductivity.
        simplify: the simulator's simplifications, "easy" or names with commas between them.
        horizon: most steps.
    """
    package = extra("scienceworld", "text world science_world", name="envs-heavy")
    known = list(extra("scienceworld.constants", "text world science_world", name="envs-heavy").ID2TASK.values())
    if task not in known:
        raise UnknownName("task of ScienceWorld", task, known)
    if horizon < 1:
        raise StepCreditError(f"science_world: got {horizon=}, expected 1 or more")
    return ScienceWorld(package, task, simplify, horizon)
