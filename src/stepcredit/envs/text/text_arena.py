"""Games of TextArena, for one player, or for two of whom one is scripted."""

import copy
import hashlib
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import RLock
from typing import Any

from stepcredit.envs.text._outside import Game, Outside, quiet
from stepcredit.envs.text_world import Action, Refused, Tool
from stepcredit.errors import StepCreditError, UnknownName
from stepcredit.plugins import extra

SAY = Tool("say", "{move}", "Make a move, or speak where the game lets you.", {"move": "as the rules say, such as [4]"})
Opponent = Callable[[str, Sequence[str], random.Random], str]

_WAYS = ("[up]", "[down]", "[left]", "[right]")
# What can be a move at all; which of them are is asked of the game.
_MOVES: dict[str, tuple[str, ...]] = {
    "2048": _WAYS,
    "Blackjack": ("[hit]", "[stand]"),
    "Chopsticks": (
        *(f"[attack {a} {b}]" for a in range(2) for b in range(2)),
        *(f"[split {a} {b}]" for a in range(9) for b in range(9)),
    ),
    "ConnectFour": tuple(f"[{i}]" for i in range(15)),
    "FifteenPuzzle": _WAYS,
    "FrozenLake": _WAYS,
    "GuessTheNumber": tuple(f"[{i}]" for i in range(1, 51)),
    "IteratedMatchingPennies": ("[heads]", "[tails]"),
    "IteratedRockPaperScissors": ("[rock]", "[paper]", "[scissors]"),
    "KuhnPoker": ("[check]", "[bet]", "[call]", "[fold]"),
    "LightsOut": tuple(f"[{a} {b}]" for a in range(5) for b in range(5)),
    "Nim": tuple(f"[{a} {b}]" for a in range(5) for b in range(1, 12)),
    "PigDice": ("[roll]", "[hold]"),
    "Secretary": ("[accept]", "[continue]"),
    "SimpleTak": tuple(f"[{i}]" for i in range(16)),
    "Sokoban": _WAYS,
    "TicTacToe": tuple(f"[{i}]" for i in range(9)),
    "TowerOfHanoi": tuple(f"[{a} {b}]" for a in "ABC" for b in "ABC" if a != b),
    "WildTicTacToe": tuple(f"[{mark} {i}]" for mark in "XO" for i in range(9)),
}
# A mine is an invalid move there, and an invalid move changes nothing here.
_OTHER_RULES = ("Minesweeper",)
_LONGEST = 10_000
# The package draws from Python's own chances, which all games of a process share.
_CHANCES = RLock()


@dataclass(eq=False)
class _Match(Game):
    """rules: told once. chances: Python's, as the game left them. scripted: those of the opponent."""

    rules: str = ""
    chances: Any = None
    scripted: random.Random = field(default_factory=random.Random)


class TextArena(Outside):
    """See `text_arena`."""

    name, tools = "text_arena", (SAY,)

    def __init__(self, package: Any, env_id: str, opponent: Opponent | None, horizon: int) -> None:
        self.env_id, self.opponent, self.horizon, self._package = env_id, opponent, horizon, package
        self._moves = _MOVES.get(env_id.partition("-v")[0], ())
        self.players = self._count()

    def begin(self, seed: int, luck: int, before: Any) -> _Match:
        game = _Match(None, seed, luck, scripted=random.Random(f"{luck}/{seed}"))
        with _own_chances(game):
            game.inner = self._package.make(self.env_id)
            game.inner.reset(num_players=self.players, seed=seed)
            random.seed(f"{luck}/{seed}")
        game.rules = "\n".join(text for _, text, kind in game.inner.state.observations[0] if kind.name == "PROMPT")
        self._others_move(game)
        game.text = self._heard(game, 0)
        return game

    def instruction(self, state: _Match) -> str:
        return state.rules.strip()

    def key(self, state: _Match) -> str:
        # Some games keep what matters in game_state, others in attributes of their own.
        own = {name: value for name, value in vars(state.inner).items() if name != "state"}
        whole = [state.inner.state.game_state, state.inner.state.current_player_id, own]
        return hashlib.sha256(repr(_plain(whole)).encode()).hexdigest()[:16]

    def actions(self, state: _Match) -> list[str]:
        return [move for move in self._moves if self._tried(state, move)[1] is None]

    def take(self, game: _Match, action: Action) -> tuple[float, str]:
        move = action.arguments["move"]
        if len(move) > _LONGEST:
            raise Refused(f"a move is at most {_LONGEST} characters")
        after, reason = self._tried(game, move)
        if reason is not None:
            raise Refused(reason)
        game.inner, game.chances = after.inner, after.chances
        self._others_move(game)
        game.ended = bool(game.inner.state.done)
        game.text = self._heard(game, 0)
        return (float(game.inner.state.rewards[0]) if game.ended else 0.0), ""

    def _tried(self, game: _Match, move: str) -> tuple[_Match, str | None]:
        """The game after a move of who is to move, and why it is invalid."""
        after = copy.deepcopy(game)
        state = after.inner.state
        # Of an invalid move nothing is left but this copy.
        state.error_allowance, state.error_count = 1, 0
        who, heard = state.current_player_id, len(state.logs)
        with _own_chances(after):
            after.inner.step(move)
        if not state.error_count and not state.game_info[who].get("invalid_move"):
            return after, None
        told = [text for by, text in state.logs[heard:] if by == -1 and "invalid move" in text]
        reason = told[-1].partition("Reason: ")[2].partition(" Please resubmit")[0] if told else ""
        return after, reason.strip().rstrip(".") or "the game does not take that move"

    def _others_move(self, game: _Match) -> None:
        while not game.inner.state.done and game.inner.state.current_player_id != 0:
            who = game.inner.state.current_player_id
            heard, listed = self._heard(game, who), self.actions(game)
            move = (self.opponent or _any)(heard, listed, game.scripted)
            after, reason = self._tried(game, move)
            if reason is not None:
                raise StepCreditError(f"text_arena: the opponent's move {move[:80]!r} is invalid: {reason}")
            game.inner, game.chances = after.inner, after.chances

    def _heard(self, game: _Match, who: int) -> str:
        """What a player has been told since they were asked last: of boards the last, and no word of their own."""
        messages, game.inner.state.observations[who] = game.inner.state.observations[who], []
        boards = [i for i, (_, _, kind) in enumerate(messages) if kind.name == "GAME_BOARD"]
        lines = []
        for i, (by, text, kind) in enumerate(messages):
            if kind.name == "PROMPT" or (kind.name == "PLAYER_ACTION" and by in (who, -1)) or i in boards[:-1]:
                continue
            lines.append(f"Player {by}: {text}" if kind.name == "PLAYER_ACTION" else text)
        reason = game.inner.state.game_info[who].get("reason") if game.inner.state.done else None
        return "\n".join(line.strip() for line in [*lines, reason or ""] if line.strip())

    def _count(self) -> int:
        """2 where two can play, else 1."""
        why = None
        for players in (2, 1):
            try:
                with _own_chances(_Match(None, 0, 0)):
                    self._package.make(self.env_id).reset(num_players=players, seed=0)
            except AssertionError as error:
                why = error
            except (Exception, SyntaxError) as error:
                # What the package cannot play is many things: files of the network, keys, a newer Python.
                raise StepCreditError(f"TextArena cannot play {self.env_id} here: {_first_line(error)}") from error
            else:
                return players
        raise StepCreditError(f"{self.env_id} is no game for one or two players: {_first_line(why)}")


def _any(heard: str, moves: Sequence[str], chances: random.Random) -> str:
    if not moves:
        raise StepCreditError(
            "text_arena: the moves of this game are not listed", hint="opponent=, a function of yours"
        )
    return chances.choice(moves)


@contextmanager
def _own_chances(game: _Match) -> Iterator[None]:
    """Python's chances are the game's while it plays, and it plays without a word."""
    with _CHANCES, quiet():
        before = random.getstate()
        if game.chances is not None:
            random.setstate(game.chances)
        try:
            yield
        finally:
            game.chances = random.getstate()
            random.setstate(before)


def _plain(thing: Any) -> Any:
    """The same for equal things, in any order they were made; of what is long, such as a dictionary, the length."""
    if hasattr(thing, "__len__") and len(thing) > _LONGEST:
        return len(thing)
    if isinstance(thing, dict):
        return sorted((repr(key), _plain(value)) for key, value in thing.items())
    if isinstance(thing, list | tuple):
        return [_plain(part) for part in thing]
    if isinstance(thing, set | frozenset):
        return sorted(map(repr, thing))
    return [type(thing).__name__, _plain(vars(thing))] if hasattr(thing, "__dict__") else repr(thing)


def _first_line(error: object) -> str:
    text = str(error).strip().strip("*\n ").partition("\n")[0]
    return f"{type(error).__name__}: {text.strip()}"


def text_arena(*, env_id: str = "TicTacToe-v0", opponent: Opponent | None = None, horizon: int = 100) -> TextArena:
    """A game of TextArena for one or two players, the agent being the first of them: the package's reward at its end.

    That is 1, 0 or -1 in most games for two, and the share that was done in most for one. An invalid move changes
    nothing and costs a step, where the package would end the game at the second. States repeat in games that hold no
    history of moves. Moves are listed in some 20 games, at most 50 of them; there the opponent moves by chance unless
    there is another. There is no expert. About two thirds of the package's games can be played without a network.

    Args:
        env_id: such as TicTacToe-v0, ConnectFour-v0, Nim-v0, KuhnPoker-v0, FrozenLake-v0, TowerOfHanoi-v0.
        opponent: what the other player was told, moves where they are listed, chances of its own -> move. It keeps
            nothing from one move to the next, so that a fork has it too.
        horizon: most moves of the agent.
    """
    if horizon < 1:
        raise StepCreditError(f"text_arena: got {horizon=}, expected 1 or more")
    with _own_chances(_Match(None, 0, 0)):
        package = extra("textarena", "text world text_arena", name="envs-heavy")
        known = extra("textarena.envs.registration", "text world text_arena", name="envs-heavy").ENV_REGISTRY
    raw = env_id if env_id.endswith("-raw") else f"{env_id}-raw"
    if raw not in known:
        raise UnknownName("game of TextArena", env_id, [name for name in known if f"{name}-raw" in known])
    if env_id.partition("-v")[0] in _OTHER_RULES:
        raise StepCreditError(f"text_arena: {env_id} counts a loss as an invalid move, which would change nothing here")
    return TextArena(package, raw, opponent, horizon)
