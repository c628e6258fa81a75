"""Any of some steps suffices: errors can be made good later, until the last chance."""

from collections.abc import Sequence

from stepcredit.envs.tabular import World
from stepcredit.envs.worlds._chain import chain, positions, right_actions


def any_of(*, seed: int = 0, horizon: int = 5, at: Sequence[int] | None = None, actions: int = 2) -> World:
    """A chain that is won once a step of `at` is right; the others are distractors. Policy: uniform.

    Two entries in `at` are an error that can be recovered.

    Args:
        seed: draws the right action of each step.
        at: steps that matter; None: every second one, from the first.
        actions: number of actions at each step, one of them right.
    """
    matter = positions(range(0, horizon, 2) if at is None else at, horizon)
    return chain(
        f"any_of/{seed}",
        right_actions(seed, horizon, actions),
        actions,
        0,
        lambda t, done, good: int(done or (good and t in matter)),
        bool,
        lambda node: f"step {node[0]}, {'done' if node[1] else 'open'}",
    )
