"""The policy chooses when to stop, and every further turn earns something of its own."""

import numpy as np

from stepcredit.envs.tabular import Moves, World, tabulate


def stop(*, seed: int = 0, horizon: int = 5, more: float = 0.6, final: float = 1.0) -> World:
    """At every turn "stop" ends, with `final` by chance; "more" earns 1 by chance at once and goes on. Policy: uniform.

    The last turn can only stop. Both chances are drawn per turn. Here a baseline per turn index is wrong although it
    looks centered: how many of the means are subtracted depends on when the rollout stops, which is an action. It
    lowers the credit of "more" against that of "stop" by the expected sum of the means that only "more" leads to.

    Args:
        seed: draws the chances: to win on stopping, evenly in 0..1; to earn by going on, evenly in 0..2 * more, at
            most 1.
        more: mean reward of going on.
        final: reward of a won end; with 0 the values are those of the rewards on the way alone.
    """
    rng = np.random.default_rng(seed)
    wins: list[float] = rng.random(horizon).tolist()
    earns: list[float] = np.clip(2 * more * rng.random(horizon), 0, 1).tolist()

    def moves(t: int) -> Moves:
        if t < 0:
            return {}
        end = [(wins[t], -1, final), (1 - wins[t], -2, 0.0)]
        on = [(earns[t], t + 1, 1.0), (1 - earns[t], t + 1, 0.0)]
        return {"stop": end, "more": on} if t < horizon - 1 else {"stop": end}

    ends = {-1: "won", -2: "lost"}
    return tabulate(f"stop/{seed}", 0, moves, horizon, label=lambda t: ends.get(t, f"turn {t}"))
