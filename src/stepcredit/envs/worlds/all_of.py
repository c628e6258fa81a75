"""All of some steps must be right: one wrong one is an error that nothing undoes."""

from collections.abc import Sequence

from stepcredit.envs.tabular import World
from stepcredit.envs.worlds._chain import chain, positions, right_actions


def all_of(*, seed: int = 0, horizon: int = 5, at: Sequence[int] | None = None, actions: int = 2) -> World:
    """A chain that is won if every step of `at` is right; the others are distractors. Policy: uniform.

    One entry in `at` is a single bifurcation among distractors; (0, horizon - 1) an early trap: after a wrong first
    step the rollout goes on, but nothing it does matters.

    Args:
        seed: draws the right action of each step.
        at: steps that matter; None: all.
        actions: number of actions at each step, one of them right.
    """
    matter = positions(range(horizon) if at is None else at, horizon)
    return chain(
        f"all_of/{seed}",
        right_actions(seed, horizon, actions),
        actions,
        1,
        lambda t, alive, good: int(alive and (good or t not in matter)),
        bool,
        lambda node: f"step {node[0]}, {'open' if node[1] else 'lost'}",
    )
