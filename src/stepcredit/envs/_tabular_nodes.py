"""Many worlds side by side, unrolled in time, and dynamic programming over what can be reached.

A node is a state at a time: worlds may be cyclic, and a state with two steps left is worth less than with ten.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from stepcredit.data.layout import Bools, Floats, Ints
from stepcredit.envs._tabular_world import World


@dataclass(frozen=True, eq=False)
class Stack:
    """The tables of worlds [W] one below the other [N, A, B], padded to one number of actions and of branches.

    start: [W] rows. horizon: [N]. ends: [N]. offset: [W] row of each world's state 0.
    """

    chance: Floats
    next_state: Ints
    reward: Floats
    policy: Floats
    start: Ints
    horizon: Ints
    ends: Bools
    offset: Ints


@dataclass(frozen=True, eq=False)
class Layer:
    """The nodes [n] at one time. state: [n] rows of the stack, ascending.

    child: [n, A, B] position in the next layer; -1 where the rollout is over or the branch has no chance.
    """

    state: Ints
    child: Ints


class Solved(NamedTuple):
    """Exact numbers of one layer. value: [n]. q: [n, A], 0 for actions that cannot be taken.

    top, bottom: [n] greatest and least return that some actions and some luck can still bring.
    """

    value: Floats
    q: Floats
    top: Floats
    bottom: Floats


def stack(worlds: Sequence[World]) -> Stack:
    """The worlds as one table."""
    sizes = [len(w.labels) for w in worlds]
    offset = np.cumsum([0, *sizes[:-1]])
    actions = max(w.chance.shape[1] for w in worlds)
    branches = max(w.chance.shape[2] for w in worlds)
    chance = np.zeros((sum(sizes), actions, branches))
    reward, policy = np.zeros_like(chance), np.zeros(chance.shape[:2])
    next_state = np.zeros(chance.shape, np.int64)
    for world, at, size in zip(worlds, offset.tolist(), sizes, strict=True):
        _, a, b = world.chance.shape
        rows = slice(at, at + size)
        chance[rows, :a, :b], reward[rows, :a, :b] = world.chance, world.reward
        next_state[rows, :a, :b] = np.where(world.chance > 0, world.next_state, 0) + at
        policy[rows, :a] = world.policy
    return Stack(
        chance,
        next_state,
        reward,
        policy,
        offset + [w.start for w in worlds],
        np.repeat([w.horizon for w in worlds], sizes),
        np.asarray(chance.sum((1, 2)) == 0),
        offset,
    )


def unroll(table: Stack) -> list[Layer]:
    """One layer per step of the longest rollout: every state that some actions can reach by then."""
    layers = []
    state, position = table.start, np.full(table.ends.size, -1, np.int64)
    time = 0
    while state.size:
        ahead = table.next_state[state]
        goes_on = (table.chance[state] > 0) & ~table.ends[ahead]
        goes_on &= (table.horizon[state] > time + 1)[:, None, None]
        position[:] = -1
        position[ahead[goes_on]] = 0
        later = np.flatnonzero(position == 0)
        position[later] = np.arange(later.size)
        layers.append(Layer(state, np.where(goes_on, position[ahead], -1)))
        state, time = later, time + 1
    return layers


def solve(table: Stack, layers: Sequence[Layer], *, best: bool = False, discount: float = 1.0) -> list[Solved]:
    """Values of every node, backward in time.

    Q(t, s, a) = sum_b chance_b (reward_b + discount * V(t + 1, next_b)),   V = 0 after the last step
    V(t, s) = sum_a pi(a|s) Q(t, s, a), or max_a Q(t, s, a) with `best`
    """
    solved: list[Solved] = []
    value, top, bottom = np.zeros(1), np.zeros(1), np.zeros(1)  # the last entry is what child -1 picks: the end
    for layer in reversed(layers):
        s = layer.state
        chance, reward = table.chance[s], table.reward[s]
        real = chance > 0
        q = (chance * (reward + discount * value[layer.child])).sum(-1)
        here = np.where(real.any(-1), q, -np.inf).max(-1) if best else (table.policy[s] * q).sum(-1)
        high = np.where(real, reward + top[layer.child], -np.inf).max((1, 2))
        low = np.where(real, reward + bottom[layer.child], np.inf).min((1, 2))
        solved.append(Solved(here, q, high, low))
        value, top, bottom = (np.append(x, 0.0) for x in (here, high, low))
    return solved[::-1]
