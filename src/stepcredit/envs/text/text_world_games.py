"""Games made by TextWorld: the four challenges of the package, with its own admissible commands and winning policy."""

import copy
import hashlib
import re
import shutil
import tempfile
import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stepcredit.envs.text._outside import Game, Outside, quiet
from stepcredit.envs.text_world import Action, Refused, Tool
from stepcredit.errors import StepCreditError, UnknownName
from stepcredit.plugins import extra

_NEED = "text world text_world_games"
DO = Tool("do", "{command}", "Give the game a command.", {"command": "such as open chest, take key, go east, look"})
# Challenge -> settings of the package for a level.
CHALLENGES: Mapping[str, Any] = {
    "simple": lambda level: {"rewards": "sparse", "goal": "detailed", "test": False},
    "coin_collector": lambda level: {"level": level},
    "treasure_hunter": lambda level: {"level": level},
    "cooking": lambda level: {
        "recipe": min(level, 5),
        "take": min(level, 5),
        "go": 1 if level < 3 else 6,
        "open": level > 1,
        "cook": True,
        "cut": level > 2,
        "drop": False,
        "recipe_seed": 0,
        "split": "",
    },
}
_BAR = re.compile(r">\s.*-= .* =-\d+(/\d+)?")


@dataclass(eq=False)
class _Running(Game):
    """told: what the package says of the state: facts, commands."""

    told: Any = None


class TextWorldGames(Outside):
    """See `text_world_games`."""

    name, tools = "text_world_games", (DO,)

    def __init__(self, challenge: str, horizon: int, settings: Mapping[str, Any], folder: Path | None) -> None:
        self.challenge, self.horizon, self.settings = challenge, horizon, settings
        self._package = extra("textworld", _NEED, name="envs-heavy")
        self._challenges = extra("textworld.challenges", _NEED, name="envs-heavy").CHALLENGES
        self.folder = folder or Path(tempfile.mkdtemp(prefix="stepcredit-textworld-"))
        if folder is None:
            # At the end of the process at the latest: the package holds on to whoever had a game made.
            weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)

    def begin(self, seed: int, luck: int, before: Any) -> _Running:
        if before is not None:
            self.shut(before)
        infos = self._package.EnvInfos(
            admissible_commands=True, policy_commands=True, facts=True, description=True, objective=True
        )
        # Its engine warns of every game that it was not written for, which all of these are.
        with quiet():
            env = self._package.start(str(self._file(seed)), infos)
            told = env.reset()
        return _Running(env, seed, luck, text=_clean(told["description"]), told=told)

    def copy(self, game: _Running) -> _Running:
        twin = copy.copy(game)
        twin.past = list(game.past)
        with quiet():
            twin.inner = game.inner.copy()
        return twin

    def shut(self, game: _Running) -> None:
        game.inner.close()

    def instruction(self, state: _Running) -> str:
        return str(state.told["objective"])

    def key(self, state: _Running) -> str:
        facts = sorted(map(str, state.told["_facts"]))
        text = repr((facts, state.told["score"], state.told["won"], state.told["lost"]))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def actions(self, state: _Running) -> list[str]:
        return list(state.told["admissible_commands"])

    def take(self, game: _Running, action: Action) -> tuple[float, str]:
        command = " ".join(action.arguments["command"].lower().split())
        # All else, such as restart or undo, stays outside the game.
        if command not in game.told["admissible_commands"]:
            raise Refused(f"the game does not take {command[:80]!r} here")
        game.told, _, game.ended = game.inner.step(command)
        game.text = _clean(game.told["feedback"])
        return float(game.told["won"]), ""

    def expert(self, state: _Running) -> str | None:
        policy = state.told["policy_commands"]
        return policy[0] if policy else None

    def _file(self, seed: int) -> Path:
        """The game of this number; made where it is not there yet."""
        settings = hashlib.sha256(repr(sorted(self.settings.items())).encode()).hexdigest()[:8]
        file = self.folder / f"{self.challenge}-{settings}-{seed}.z8"
        if not file.is_file():
            options = self._package.GameOptions()
            # Made aside and moved, so that another process never reads half a game.
            with tempfile.TemporaryDirectory(dir=self.folder) as aside, quiet():
                options.seeds, options.path = seed, str(Path(aside) / file.name)
                game = self._challenges[f"tw-{self.challenge}"][1](self.settings, options)
                made = Path(self._package.generator.compile_game(game, options))
                made.with_suffix(".json").replace(file.with_suffix(".json"))
                made.replace(file)
        return file


def _clean(text: str) -> str:
    """Without blank lines, the status bar, and the question at the end of a game, which nobody answers."""
    lines = (line.strip() for line in text.partition("Would you like to RESTART")[0].splitlines())
    return "\n".join(line for line in lines if line and not _BAR.fullmatch(line))


def text_world_games(
    *,
    challenge: str = "coin_collector",
    level: int = 3,
    horizon: int = 50,
    settings: Mapping[str, Any] | None = None,
    folder: str | Path | None = None,
) -> TextWorldGames:
    """A text adventure made by TextWorld: 1 when it is won.

    A state is all facts of the game and the score, and repeats. 3 to 30 admissible commands; no others reach the
    game; no chance after the start. The expert is the package's winning policy, from any state that can still be won.
    A game takes seconds to make and is made once for each number.

    Args:
        challenge: simple, coin_collector, treasure_hunter or cooking.
        level: of coin_collector (1 to 300: the rooms to the coin, with dead ends above 100) and treasure_hunter (1 to
            30); of cooking, the ingredients (1 to 5); simple has one level.
        horizon: most steps.
        settings: of the package's challenge, in place of those of the level.
        folder: where games are kept; None: in a temporary one that goes with the process.
    """
    if challenge not in CHALLENGES:
        raise UnknownName("challenge of TextWorld", challenge, CHALLENGES)
    if horizon < 1 or level < 1:
        raise StepCreditError(f"text_world_games: got {level=}, {horizon=}, expected 1 or more of both")
    where = None if folder is None else Path(folder)
    if where is not None:
        where.mkdir(parents=True, exist_ok=True)
    return TextWorldGames(challenge, horizon, {**CHALLENGES[challenge](level), **(settings or {})}, where)
