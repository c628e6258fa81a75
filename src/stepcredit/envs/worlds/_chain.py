"""Chains: at every step one of a few actions is right, and a memory of what was done decides at the end."""

from collections.abc import Callable, Sequence

import numpy as np

from stepcredit.data.layout import Ints
from stepcredit.envs.tabular import Moves, World, tabulate
from stepcredit.errors import StepCreditError

Node = tuple[int, int]


def chain(
    name: str,
    right: Ints,
    actions: int,
    memory: int,
    remember: Callable[[int, int, bool], int],
    wins: Callable[[int], bool],
    label: Callable[[Node], str] = lambda node: f"step {node[0]}, {node[1]}",
) -> World:
    """A deterministic chain of one step per entry of `right`; actions are "0", "1", ...

    Args:
        right: [T] the action that is right at each step.
        memory: what is remembered at the start.
        remember: (step, memory, whether the action was right) -> memory.
        wins: whether a rollout that ends with this memory earns 1.
        label: (step, memory) -> what is observed.
    """
    last = right.size - 1

    def moves(node: Node) -> Moves:
        t, m = node
        after = [remember(t, m, action == right[t]) for action in range(actions)]
        return {str(a): [(1.0, (t + 1, then), float(t == last and wins(then)))] for a, then in enumerate(after)}

    return tabulate(name, (0, memory), moves, right.size, label=label)


def right_actions(seed: int, horizon: int, actions: int) -> Ints:
    """[T] the right action of each step, drawn.

    Raises:
        StepCreditError: horizon below 1 or actions below 2.
    """
    if horizon < 1 or actions < 2:
        raise StepCreditError(
            f"got horizon={horizon}, actions={actions}, expected 1 or more steps and 2 or more actions"
        )
    return np.random.default_rng(seed).integers(0, actions, horizon)


def positions(at: Sequence[int], horizon: int) -> frozenset[int]:
    """The steps that matter.

    Raises:
        StepCreditError: none, or one outside the horizon.
    """
    if not at or min(at) < 0 or max(at) >= horizon:
        raise StepCreditError(f"got at={tuple(at)}, expected steps in 0..{horizon - 1}")
    return frozenset(at)
