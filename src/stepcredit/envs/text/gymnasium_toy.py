"""The toy texts of gymnasium in words: FrozenLake, CliffWalking, Taxi, Blackjack."""

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from stepcredit.data.layout import Ints
from stepcredit.envs.tabular import Moves, World, tabulate
from stepcredit.envs.text._grid import GO
from stepcredit.envs.text._outside import Game, Outside
from stepcredit.envs.text_world import Action, Refused, Tool
from stepcredit.errors import StepCreditError, UnknownName
from stepcredit.plugins import extra

PICK_UP = Tool("pick_up", "pick up", "Let the passenger in.")
DROP_OFF = Tool("drop_off", "drop off", "Let the passenger out.")
HIT = Tool("hit", "hit", "Take another card.")
STICK = Tool("stick", "stick", "Take no more cards.")
_STANDS = ("red", "green", "yellow", "blue")
# Below 1 so that of equal ways the shorter is better, and so close to 1 that nothing else changes.
_DISCOUNT = 1 - 1e-6


@dataclass(frozen=True)
class _Toy:
    """What one of them is in words.

    numbers: action as text -> gymnasium's number. instruction: of the environment. tell: environment, state -> text.
    says: reward -> what the agent reads besides.
    """

    tools: tuple[Tool, ...]
    numbers: Mapping[str, int]
    instruction: Callable[[Any], str]
    tell: Callable[[Any, Any], str]
    says: Mapping[float, str]


def _lake(env: Any) -> str:
    rows = "\n".join(b"".join(row).decode() for row in env.desc)
    return f"Walk from S to G over the ice F. H is a hole. The ice may be slippery.\n{rows}"


def _on_lake(env: Any, state: int) -> str:
    row, column = divmod(state, env.ncol)
    what = {b"H": " You fell into a hole.", b"G": " You are there."}.get(env.desc[row, column], "")
    return f"You are at row {row + 1}, column {column + 1}.{what}"


def _cliff(env: Any) -> str:
    rows, columns = env.shape
    return (
        f"A field of {rows} rows and {columns} columns. Walk from row {rows}, column 1 to row {rows}, column {columns} "
        f"in few steps. Row {rows} between them is a cliff: who falls starts again."
    )


def _on_cliff(env: Any, state: int) -> str:
    row, column = divmod(state, env.shape[1])
    return f"You are at row {row + 1}, column {column + 1}."


def _taxi(env: Any) -> str:
    rows = "\n".join(b"".join(row).decode() for row in env.desc)
    return f"Drive the taxi to the passenger, and the passenger to where they want to go. | is a wall.\n{rows}"


def _in_taxi(env: Any, state: int) -> str:
    row, column, passenger, goal = env.decode(state)
    where = "in the taxi" if passenger == len(_STANDS) else f"at {_STANDS[passenger]}"
    return f"The taxi is at row {row + 1}, column {column + 1}; the passenger is {where} and wants to {_STANDS[goal]}."


def _at_table(env: Any, state: tuple[int, int, int]) -> str:
    total, dealer, ace = state
    return f"You have {total}{' with an ace that counts 11' * bool(ace)}; the dealer shows {dealer}."


def _ways(*order: str) -> dict[str, int]:
    return {GO.write({"way": way}): i for i, way in enumerate(order)}


TOYS = {
    "FrozenLake": _Toy((GO,), _ways("west", "south", "east", "north"), _lake, _on_lake, {}),
    "CliffWalking": _Toy(
        (GO,), _ways("north", "east", "south", "west"), _cliff, _on_cliff, {-100: "You fell off the cliff."}
    ),
    "Taxi": _Toy(
        (GO, PICK_UP, DROP_OFF),
        {**_ways("south", "north", "east", "west"), "pick up": 4, "drop off": 5},
        _taxi,
        _in_taxi,
        {-10: "That is not allowed here."},
    ),
    "Blackjack": _Toy(
        (HIT, STICK),
        {"stick": 0, "hit": 1},
        lambda env: "Blackjack: come closer to 21 than the dealer, and not above. An ace is 1 or 11.",
        _at_table,
        {},
    ),
}


class GymnasiumToy(Outside):
    """See `gymnasium_toy`."""

    name = "gymnasium_toy"

    def __init__(self, env_id: str, horizon: int, toy: _Toy, env: Any) -> None:
        self.env_id, self.horizon, self.toy, self.tools, self._env = env_id, horizon, toy, toy.tools, env
        self._plan: Ints | None = None

    @property
    def transitions(self) -> Mapping[int, Mapping[int, Any]] | None:
        """gymnasium's table: state -> action -> [(chance, next state, reward, ended)]; None where there is none."""
        fickle = getattr(self._env, "fickle_passenger", False)
        return None if fickle else getattr(self._env, "P", None)

    def begin(self, seed: int, luck: int, before: Game | None) -> Game:
        env = self._copy(self._env) if before is None else before.inner
        env.reset(seed=seed)
        env.np_random = np.random.default_rng((luck, seed))
        return Game(env, seed, luck)

    def copy(self, game: Game) -> Game:
        return Game(
            self._copy(game.inner), game.seed, game.luck, ended=game.ended, steps=game.steps, past=list(game.past)
        )

    def instruction(self, state: Game) -> str:
        return self.toy.instruction(state.inner)

    def observe(self, state: Game) -> str:
        return self.toy.tell(state.inner, _state(state.inner))

    def actions(self, state: Game) -> list[str]:
        return list(self.toy.numbers)

    def take(self, game: Game, action: Action) -> tuple[float, str]:
        text = self.tool(action.name).write(action.arguments).lower()
        if text not in self.toy.numbers:
            raise Refused(f"there is no way {action.arguments['way'][:20]!r}")
        _, reward, game.ended, _, _ = game.inner.step(self.toy.numbers[text])
        return float(reward), self.toy.says.get(float(reward), "")

    def expert(self, state: Game) -> str | None:
        if self.transitions is not None:
            if self._plan is None:
                self._plan = _plan(self.transitions, self.horizon)
            number = int(self._plan[self.horizon - 1 - state.steps, _state(state.inner)])
        elif self.toy.tools == (HIT, STICK):
            number = int(_basic_strategy(*_state(state.inner)))
        else:
            return None
        return next(text for text, i in self.toy.numbers.items() if i == number)

    def table(self, seed: int) -> World:
        """The task as tables, from gymnasium's own, with the uniform policy.

        Raises:
            StepCreditError: gymnasium has no table of it (Blackjack, a fickle passenger).
        """
        table = self.transitions
        if table is None:
            raise StepCreditError(f"gymnasium has no table of {self.env_id}: it cannot be made one")

        def moves(at: tuple[int, bool]) -> Moves:
            state, ended = at
            if ended:
                return {}
            return {
                text: [(chance, (int(to), bool(end)), float(reward)) for chance, to, reward, end in table[state][i]]
                for text, i in self.toy.numbers.items()
            }

        start = (_state(self.begin(seed, 0, None).inner), False)
        name = f"{self.name}/{self.env_id}/{seed}"
        return tabulate(name, start, moves, self.horizon, label=lambda at: self.toy.tell(self._env, at[0]))

    def _copy(self, env: Any) -> Any:
        shared = getattr(env, "P", None)
        return copy.deepcopy(env, {id(shared): shared})


def _state(env: Any) -> Any:
    return int(env.s) if hasattr(env, "P") else env._get_obs()


def _plan(table: Mapping[int, Mapping[int, Any]], horizon: int) -> Ints:
    """[horizon, N] the best action of each state with 1, 2, ... steps left, by value iteration.

    V(k, s) = max_a sum_b p (r + discount V(k - 1, next)), 0 at ends and with no step left
    """
    width = max(len(branches) for row in table.values() for branches in row.values())
    none = (0.0, 0, 0.0, True)
    cells = [[[*b, *[none] * (width - len(b))] for _, b in sorted(row.items())] for _, row in sorted(table.items())]
    whole = np.array(cells, float)
    chance, to, reward, on = whole[..., 0], whole[..., 1].astype(int), whole[..., 2], 1 - whole[..., 3]
    value, plan = np.zeros(len(table)), np.zeros((horizon, len(table)), int)
    for k in range(horizon):
        q = (chance * (reward + _DISCOUNT * on * value[to])).sum(-1)
        value = q.max(-1)
        # Equal actions differ by rounding alone; the first of them is taken.
        plan[k] = (q > value[:, None] - 1e-9).argmax(-1)
    return plan


def _basic_strategy(total: int, dealer: int, ace: int) -> bool:
    """Whether to take a card: the best there is against a dealer with endless decks who sticks at 17."""
    if ace:
        return total <= 17 or (total == 18 and dealer in (1, 9, 10))
    if total >= 17:
        return False
    return total <= 11 or dealer in (1, 7, 8, 9, 10) or (total == 12 and dealer in (2, 3))


def gymnasium_toy(
    *, env_id: str = "FrozenLake-v1", horizon: int = 100, arguments: Mapping[str, Any] | None = None
) -> GymnasiumToy:
    """FrozenLake, CliffWalking, Taxi or Blackjack of gymnasium, with its rewards.

    States repeat. 4 ways to go; Taxi has 6 actions, Blackjack 2. The task's number draws what gymnasium's `reset`
    draws (a fare, a first hand; one start of FrozenLake and CliffWalking), luck the slips and cards that follow. The
    expert is the best policy by gymnasium's own table, the basic strategy in Blackjack, and nobody with a fickle
    passenger; `table` holds the table.

    Args:
        env_id: FrozenLake-v1, FrozenLake8x8-v1, CliffWalking-v1, CliffWalkingSlippery-v1, Taxi-v4 or Blackjack-v1.
        horizon: most steps, in place of gymnasium's.
        arguments: further ones of `gymnasium.make`, such as {"is_slippery": False}.
    """
    toy = next((toy for kind, toy in TOYS.items() if env_id.startswith(kind)), None)
    if toy is None:
        raise UnknownName("toy text of gymnasium", env_id, TOYS)
    if horizon < 1:
        raise StepCreditError(f"gymnasium_toy: got {horizon=}, expected 1 or more")
    gymnasium = extra("gymnasium", "text world gymnasium_toy", name="envs")
    env = gymnasium.make(env_id, disable_env_checker=True, **(arguments or {})).unwrapped
    return GymnasiumToy(env_id, horizon, toy, env)
