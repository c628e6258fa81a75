"""All credit belongs to the first step: what follows changes nothing."""

import numpy as np

from stepcredit.envs.tabular import Moves, World, tabulate
from stepcredit.errors import StepCreditError


def bandit(*, seed: int = 0, horizon: int = 6, arms: int = 3) -> World:
    """The first step picks an arm, the others choose between "0" and "1" in vain; then the arm wins or loses by chance.

    Policy: uniform. The outcome's luck shows at the last step.

    Args:
        seed: draws each arm's chance to win, evenly in 0..1.
    """
    if arms < 2:
        raise StepCreditError(f"got arms={arms}, expected 2 or more")
    wins: list[float] = np.random.default_rng(seed).random(arms).tolist()

    def moves(node: tuple[int, int]) -> Moves:
        t, arm = node
        choices = {f"arm {i}": i for i in range(arms)} if t == 0 else {"0": arm, "1": arm}
        if t < horizon - 1:
            return {action: [(1.0, (t + 1, i), 0.0)] for action, i in choices.items()}
        return {a: [(wins[i], (t + 1, -2), 1.0), (1 - wins[i], (t + 1, -3), 0.0)] for a, i in choices.items()}

    return tabulate(f"bandit/{seed}", (0, -1), moves, horizon, label=lambda node: _label(*node))


def _label(t: int, arm: int) -> str:
    ends = {-1: "start", -2: "won", -3: "lost"}
    return ends[arm] if arm < 0 else f"step {t}, arm {arm}"
