"""BabyAI in words: an instruction, what one sees of a grid of rooms, and the package's own bot as expert."""

import hashlib
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from stepcredit.envs.text._outside import Game, Outside, quiet
from stepcredit.envs.text_world import Action, Refused, Tool
from stepcredit.errors import StepCreditError, UnknownName
from stepcredit.plugins import extra

_NEED = "text world babyai"
TURN = Tool("turn", "turn {side}", "Turn where you stand.", {"side": ("left", "right")})
FORWARD = Tool("forward", "go forward", "Walk one field ahead.")
PICK_UP = Tool("pick_up", "pick up", "Take what is one field ahead.")
DROP = Tool("drop", "drop", "Put down what you carry one field ahead.")
TOGGLE = Tool("toggle", "toggle", "Open or close the door, or open the box, one field ahead.")
DONE = Tool("done", "done", "Do nothing; that you are done shows by itself.")
# Action as text -> name of the package's action.
_NAMES = {
    "turn left": "left",
    "turn right": "right",
    "go forward": "forward",
    "pick up": "pickup",
    "drop": "drop",
    "toggle": "toggle",
    "done": "done",
}


@dataclass(eq=False)
class _Level(Game):
    """bot: the package's, told of every action. advice: what it would do now; None where it does not know."""

    bot: Any = None
    advice: str | None = None


class BabyAI(Outside):
    """See `babyai`."""

    name, tools = "babyai", (TURN, FORWARD, PICK_UP, DROP, TOGGLE, DONE)

    def __init__(self, env_id: str, horizon: int, make: Any, bot: Any) -> None:
        self.env_id, self.horizon, self._make, self._bot = env_id, horizon, make, bot

    def begin(self, seed: int, luck: int, before: Any) -> _Level:
        env = self._make(self.env_id, disable_env_checker=True).unwrapped if before is None else before.inner
        with quiet():
            env.reset(seed=seed)
        # The episode counts steps; the package's reward falls with them.
        env.max_steps = 10**9
        game = _Level(env, seed, luck)
        self._advise(game, None)
        return game

    def instruction(self, state: _Level) -> str:
        return f"{str(state.inner.mission).capitalize()}. You stand on a field of a grid and see what is ahead."

    def observe(self, state: _Level) -> str:
        return _seen(state.inner)

    def key(self, state: _Level) -> str:
        env = state.inner
        told = [env.grid.encode().tobytes(), env.agent_pos, env.agent_dir, _thing(env.carrying), _done(env.instrs)]
        told += [_thing(cell.contains) for cell in env.grid.grid if getattr(cell, "contains", None)]
        return hashlib.sha256(repr([int(x) if hasattr(x, "item") else x for x in told]).encode()).hexdigest()[:16]

    def actions(self, state: _Level) -> list[str]:
        return [text for text in _NAMES if _hindrance(state.inner, text) is None]

    def take(self, game: _Level, action: Action) -> tuple[float, str]:
        text = self.tool(action.name).write(action.arguments).lower()
        if text not in _NAMES:
            raise Refused(f"there is no side {action.arguments['side'][:20]!r}")
        reason = _hindrance(game.inner, text)
        if reason is not None:
            raise Refused(reason)
        number = game.inner.actions[_NAMES[text]]
        _, reward, game.ended, _, _ = game.inner.step(number)
        if not game.ended:
            self._advise(game, number)
        return float(game.ended and reward > 0), ""

    def expert(self, state: _Level) -> str | None:
        return state.advice

    def _advise(self, game: _Level, taken: Any) -> None:
        """Tell the bot what was done. One that lost its way begins anew, with what it has seen."""
        game.advice = None
        if game.bot is not None:
            with suppress(Exception):
                game.advice = _text(game.bot.replan(taken))
        if game.advice is None:
            bot = self._bot(game.inner)
            bot.vis_mask = bot.vis_mask if game.bot is None else game.bot.vis_mask
            game.bot = bot
            with suppress(Exception):
                game.advice = _text(bot.replan(None))
        if game.advice is not None and _hindrance(game.inner, game.advice):
            game.advice = None


def _text(number: Any) -> str | None:
    """The bot says done where it sees nothing left to do: no advice in an episode that goes on."""
    return next((text for text, name in _NAMES.items() if name == number.name and name != "done"), None)


def _hindrance(env: Any, text: str) -> str | None:
    """Why an action would do nothing; None where it can be taken."""
    ahead = env.grid.get(*env.front_pos)
    match text:
        case "go forward":
            return None if ahead is None or ahead.can_overlap() else f"there is {_thing(ahead)} ahead"
        case "pick up":
            if env.carrying is not None:
                return f"you carry {_thing(env.carrying)}"
            return None if ahead is not None and ahead.can_pickup() else "there is nothing to take ahead"
        case "drop":
            if env.carrying is None:
                return "you carry nothing"
            return None if ahead is None else f"there is {_thing(ahead)} ahead"
        case "toggle":
            if ahead is None or ahead.type not in ("door", "box"):
                return "there is no door or box ahead"
            key = env.carrying is not None and env.carrying.type == "key" and env.carrying.color == ahead.color
            return "the door is locked" if ahead.type == "door" and ahead.is_locked and not key else None
    return None


def _thing(thing: Any) -> str:
    if thing is None:
        return "nothing"
    if thing.type == "wall":
        return "a wall"
    state = "" if thing.type != "door" else "open " if thing.is_open else "locked " if thing.is_locked else "closed "
    name = f"{state}{thing.color} {thing.type}"
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


def _done(instruction: Any) -> Any:
    """Which parts of an instruction have been done, where it has parts."""
    parts = [_done(getattr(instruction, part)) for part in ("instr_a", "instr_b") if hasattr(instruction, part)]
    return [getattr(instruction, flag, None) for flag in ("a_done", "b_done", "lastStepMatch")] + parts


def _seen(env: Any) -> str:
    """Things in view, where they are, and how far one could walk."""
    grid, visible = env.gen_obs_grid()
    middle, bottom = grid.width // 2, grid.height - 1
    things = []
    for j in range(bottom, -1, -1):
        for i in range(grid.width):
            cell = grid.get(i, j)
            if not visible[i, j] or cell is None or cell.type in ("wall", "floor") or (i, j) == (middle, bottom):
                continue
            side = f"{abs(i - middle)} {'left' if i < middle else 'right'}" if i != middle else ""
            ahead = f"{bottom - j} ahead" if j != bottom else ""
            things.append(f"{_thing(cell)} {', '.join(filter(None, (ahead, side)))}")

    def free(di: int, dj: int) -> int:
        n = 1
        while 0 <= (i := middle + n * di) < grid.width and (j := bottom + n * dj) >= 0 and visible[i, j]:
            cell = grid.get(i, j)
            if cell is not None and not cell.can_overlap():
                break
            n += 1
        return n - 1

    carried = "" if env.carrying is None else f" You carry {_thing(env.carrying)}."
    return (
        f"You see {'; '.join(things) or 'nothing'}. "
        f"Free fields: {free(0, -1)} ahead, {free(-1, 0)} left, {free(1, 0)} right.{carried}"
    )


def babyai(*, env_id: str = "BabyAI-GoToRedBallNoDists-v0", horizon: int = 64) -> BabyAI:
    """A level of BabyAI: 1 when the instruction has been carried out, 0 where it has failed.

    The agent sees part of the grid; a state is all of it, the pose and what is carried, and repeats. At most 7
    actions; chance plays no part after the start. The expert is the package's bot, which sees what the agent
    has seen and mends what others did. It may not know a way after a box was opened, and does not solve KeyInBox,
    PutNext...Carrying and OpenDoorsOrder...Debug.

    Args:
        env_id: such as BabyAI-GoToLocalS5N2-v0, BabyAI-PutNextLocal-v0, BabyAI-UnlockPickup-v0, BabyAI-BossLevel-v0.
        horizon: most steps, in place of the package's; levels of several rooms need more than the default.
    """
    if horizon < 1:
        raise StepCreditError(f"babyai: got {horizon=}, expected 1 or more")
    extra("minigrid", _NEED, name="envs")
    bot = extra("minigrid.utils.baby_ai_bot", _NEED, name="envs").BabyAIBot
    gymnasium = extra("gymnasium", _NEED, name="envs")
    known = [name for name in gymnasium.registry if name.startswith("BabyAI-")]
    if env_id not in known:
        raise UnknownName("BabyAI level", env_id, known)
    return BabyAI(env_id, horizon, gymnasium.make, bot)
