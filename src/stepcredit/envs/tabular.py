"""Worlds that can be enumerated: exact values by dynamic programming, rollouts, and the exact credit of every step.

>>> from stepcredit.envs import worlds
>>> world = worlds.get("all_of")(horizon=3)
>>> float(evaluate(world).value[0, world.start])
0.125
>>> batch = sample([world], 4, seed=0)
>>> batch.layout, batch.columns["truth.advantage"][:3]
(Layout(G=1, R=4, S=12, K=12), array([-0.125,  0.   ,  0.   ]))
"""

import hashlib
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stepcredit.data.batch import Batch
from stepcredit.data.encode import dense, encode
from stepcredit.data.layout import Floats, Ints, Layout
from stepcredit.envs._tabular_nodes import Layer, Solved, Stack, solve, stack, unroll
from stepcredit.envs._tabular_world import TOLERANCE, World, even
from stepcredit.errors import StepCreditError

__all__ = [
    "Layer",
    "Solved",
    "Stack",
    "Values",
    "World",
    "evaluate",
    "even",
    "mistakes",
    "noisy_optimal",
    "sample",
    "slippery",
    "solve",
    "stack",
    "tabulate",
    "uniform",
    "unroll",
]

Moves = Mapping[str, Iterable[tuple[float, Hashable, float]]]


@dataclass(frozen=True, slots=True)
class Values:
    """Exact values of a world; NaN where a state cannot be reached at that time, or an action not be taken.

    value: [T, N] V(t, s), expected sum of rewards from step t on. q: [T, N, A] Q(t, s, a).
    """

    value: Floats
    q: Floats

    @property
    def advantage(self) -> Floats:
        """[T, N, A] Q - V; its mean under the policy is 0."""
        return self.q - self.value[..., None]


def evaluate(world: World, *, best: bool = False) -> Values:
    """V and Q under the world's policy, or under the best one, for every step of the horizon.

    Q(t, s, a) = sum_b chance(s, a, b) [reward(s, a, b) + V(t + 1, next_state(s, a, b))]
    V(t, s) = sum_a pi(a|s) Q(t, s, a)        best: max_a;  V = 0 in ends and after the horizon
    """
    table = stack([world])
    layers = unroll(table)
    value = np.full((len(layers), len(world.labels)), np.nan)
    q = np.full((*value.shape, len(world.actions)), np.nan)
    can = world.can
    for t, (layer, exact) in enumerate(zip(layers, solve(table, layers, best=best), strict=True)):
        value[t, layer.state] = exact.value
        q[t, layer.state] = np.where(can[layer.state], exact.q, np.nan)
    return Values(value, q)


def sample(worlds: Sequence[World], n: int, seed: int) -> Batch:
    """n rollouts of each world, with the truth about each step: one task per world, in their order.

    Draws depend on the seed and the world's name alone: other worlds change nothing, and a larger n appends.

    Columns: `outcome` (the sum of rewards), `reward` where a step before the last can bring one, `state`,
    `next_state`, `final_state`, `root_state` (labels, so that aliased states are one), `action`, `agent` where worlds
    name agents, and [S]

        truth.value       V(t, s)
        truth.q           Q(t, s, a)
        truth.advantage   Q(t, s, a) - V(t, s), the exact credit of the step
        truth.luck        r + V(t + 1, s') - Q(t, s, a), what chance added
        truth.decision    1 where returns still differ: the greatest that can be had is above the least
        truth.good        1 where the greatest return that could be had still can be had after the step

    On every rollout   sum_t (truth.advantage + truth.luck) = outcome - V(0, start).

    Raises:
        StepCreditError: no world, two worlds of one name, or n below 1.
    """
    names = [world.name for world in worlds]
    if n < 1 or not names:
        raise StepCreditError(f"got {len(names)} worlds and n={n} rollouts of each, expected 1 or more of both")
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise StepCreditError(
            f"two worlds are named {twice!r}; they would share their draws", hint="dataclasses.replace(world, name=...)"
        )
    table = stack(worlds)
    layers = unroll(table)
    walk = _walk(table, layers, solve(table, layers), _draws(worlds, n, seed))
    layout = Layout(np.repeat(np.arange(len(worlds)), n), walk.rollout)
    columns: dict[str, NDArray[Any]] = {
        "outcome": layout.total(walk.reward),
        "truth.value": walk.value,
        "truth.q": walk.q,
        "truth.advantage": walk.q - walk.value,
        "truth.luck": walk.reward + walk.next_value - walk.q,
        "truth.decision": walk.decision.astype(float),
        "truth.good": walk.good.astype(float),
    }
    if any(world.dense for world in worlds):
        columns["reward"] = walk.reward
    keys: dict[str, Sequence[Hashable]] = {
        "group": names,
        "rollout": [f"{name}/{i}" for name in names for i in range(n)],
    }
    _states(worlds, table, walk, layout, columns, keys)
    _actions(worlds, walk, layout, columns, keys)
    if any(world.agents is not None for world in worlds):
        who = [None if w.agents is None else w.agents[i] for w in worlds for i in range(len(w.labels))]
        columns["agent"], keys["agent"] = encode(who[s] for s in walk.state.tolist())
    return Batch(layout, columns, keys)


class _Walk(NamedTuple):
    """Columns [S] of the steps, sorted by rollout and time; states are rows of the stack."""

    rollout: Ints
    state: Ints
    action: Ints
    next_state: Ints
    reward: Floats
    value: Floats
    q: Floats
    next_value: Floats
    decision: NDArray[np.bool_]
    good: NDArray[np.bool_]


def _draws(worlds: Sequence[World], n: int, seed: int) -> Floats:
    """[R, T, 2] uniform numbers: for the action and for the branch."""
    draws = np.zeros((len(worlds) * n, max(world.horizon for world in worlds), 2))
    for i, world in enumerate(worlds):
        words = np.frombuffer(hashlib.shake_128(f"{seed}|{world.name}".encode()).digest(16), dtype="<u4")
        random = np.random.default_rng(words).random((n, world.horizon, 2))
        draws[i * n : (i + 1) * n, : world.horizon] = random
    return draws


def _walk(table: Stack, layers: Sequence[Layer], solved: Sequence[Solved], draws: Floats) -> _Walk:
    policy, chance = _cumulative(table.policy), _cumulative(table.chance)
    rollout = np.arange(draws.shape[0])
    node = np.repeat(np.arange(table.start.size), rollout.size // table.start.size)
    parts = []
    after = [*((np.append(x.value, 0.0), np.append(x.top, 0.0)) for x in solved[1:]), (np.zeros(1), np.zeros(1))]
    for t, (layer, exact, (value, top)) in enumerate(zip(layers, solved, after, strict=True)):
        s = layer.state[node]
        a = (policy[s] <= draws[rollout, t, :1]).sum(-1)
        b = (chance[s, a] <= draws[rollout, t, 1:]).sum(-1)
        reward, child = table.reward[s, a, b], layer.child[node, a, b]
        decision = exact.top[node] > exact.bottom[node] + TOLERANCE
        good = reward + top[child] >= exact.top[node] - TOLERANCE
        parts.append(
            (
                *(rollout, s, a, table.next_state[s, a, b], reward),
                *(exact.value[node], exact.q[node, a], value[child], decision, good),
            )
        )
        rollout, node = rollout[child >= 0], child[child >= 0]
    whole = [np.concatenate(column) for column in zip(*parts, strict=True)]
    order = np.argsort(whole[0], kind="stable")
    return _Walk(*(column[order] for column in whole))


def _cumulative(p: Floats) -> Floats:
    """Sums along the last axis that end in exactly 1, so that no draw below 1 falls on what has no chance."""
    total = np.cumsum(p, -1)
    whole: Floats = np.divide(total, total[..., -1:], out=np.ones_like(total), where=total[..., -1:] > 0)
    return whole


def _states(
    worlds: Sequence[World],
    table: Stack,
    walk: _Walk,
    layout: Layout,
    columns: dict[str, NDArray[Any]],
    keys: dict[str, Sequence[Hashable]],
) -> None:
    """The four state columns, with one set of ids: those of the labels seen."""
    label, known = encode(label for world in worlds for label in world.labels)
    parts = {
        "state": label[walk.state],
        "next_state": label[walk.next_state],
        "final_state": label[walk.next_state[layout.last]],
        "root_state": label[table.start],
    }
    every = np.concatenate(list(parts.values()))
    seen = [known[i] for i in np.unique(every).tolist()]
    ends = np.cumsum([part.size for part in parts.values()])[:-1]
    for name, part in zip(parts, np.split(dense(every), ends), strict=True):
        columns[name], keys[name] = part, seen


def _actions(
    worlds: Sequence[World],
    walk: _Walk,
    layout: Layout,
    columns: dict[str, NDArray[Any]],
    keys: dict[str, Sequence[Hashable]],
) -> None:
    first = np.cumsum([0, *(len(world.actions) for world in worlds)])[:-1]
    ids, keys["action"] = encode(action for world in worlds for action in world.actions)
    columns["action"] = ids[first[layout.step_group] + walk.action]


def uniform(world: World) -> World:
    """The world with a policy that takes every action with the same chance."""
    return replace(world, policy=even(world.chance))


def noisy_optimal(world: World, temperature: float = 0.2, *, discount: float = 0.95) -> World:
    """The world with a policy that leans toward the best actions.

        pi(a|s) = softmax_a(Q*(s, a) / temperature)

    Q* is the best value at the time the state can first be reached; `discount` makes the policy hurry where any way
    leads to success in the end. The world's own values stay undiscounted.

    Raises:
        StepCreditError: temperature not above 0, or discount outside (0, 1].
    """
    if not temperature > 0:
        raise StepCreditError(f"temperature: got {temperature}, expected a number above 0", hint="mistakes(world, 0)")
    q = _plan(world, discount) / temperature
    weight = np.exp(q - q.max(-1, keepdims=True, where=world.can, initial=-np.inf), where=world.can, out=0 * q)
    return replace(world, policy=weight / np.maximum(weight.sum(-1, keepdims=True), 1e-300))


def mistakes(world: World, epsilon: float = 0.2, *, discount: float = 0.95) -> World:
    """The world with the best policy, but every action by chance with probability epsilon.

        pi(a|s) = (1 - epsilon) [a is best] / (number of best actions) + epsilon / (number of actions)

    Best as in `noisy_optimal`.

    Raises:
        StepCreditError: epsilon outside [0, 1], or discount outside (0, 1].
    """
    if not 0 <= epsilon <= 1:
        raise StepCreditError(f"epsilon: got {epsilon}, expected a number in [0, 1]")
    q = np.where(world.can, _plan(world, discount), -np.inf)
    best = world.can & (q >= q.max(-1, keepdims=True) - TOLERANCE)
    greedy = best / np.maximum(best.sum(-1, keepdims=True), 1)
    return replace(world, policy=(1 - epsilon) * greedy + epsilon * even(world.chance))


def _plan(world: World, discount: float) -> Floats:
    """[N, A] Q* at the first time each state can be reached; 0 where it never is."""
    if not 0 < discount <= 1:
        raise StepCreditError(f"discount: got {discount}, expected a number in (0, 1]")
    table = stack([world])
    layers = unroll(table)
    q = np.zeros(world.policy.shape)
    solved = solve(table, layers, best=True, discount=discount)
    for layer, exact in zip(reversed(layers), reversed(solved), strict=True):
        q[layer.state] = exact.q
    return q


def slippery(world: World, slip: float) -> World:
    """The world with chance in it: with probability `slip` another action happens than the one taken.

    Which one is drawn evenly from the others that could be taken; a state with one action stays as it is.

    Raises:
        StepCreditError: slip outside [0, 1].
    """
    if not 0 <= slip <= 1:
        raise StepCreditError(f"slip: got {slip}, expected a number in [0, 1]")
    states, actions, branches = world.chance.shape
    can = world.can
    others = can[:, :, None] & can[:, None, :] & ~np.eye(actions, dtype=bool)
    count = others.sum(-1, keepdims=True)
    weight = slip * others / np.maximum(count, 1)
    weight += np.eye(actions) * np.where(count > 0, 1 - slip, 1.0)
    shape = (states, actions, actions * branches)

    def spread(x: NDArray[Any]) -> NDArray[Any]:
        return np.broadcast_to(x[:, None], (states, actions, actions, branches)).reshape(shape)

    return replace(
        world,
        chance=(weight[..., None] * world.chance[:, None]).reshape(shape),
        next_state=spread(world.next_state),
        reward=spread(world.reward),
    )


def tabulate(
    name: str,
    start: Hashable,
    moves: Callable[[Any], Moves],
    horizon: int,
    *,
    label: Callable[[Any], str] = str,
    agent: Callable[[Any], str] | None = None,
) -> World:
    """A World, with the uniform policy, from a function that says what can be done in a state.

    Args:
        moves: state -> {action: [(chance, next state, reward), ...]}; no action: an end. States are any hashable keys.
        label: state -> what is observed of it.
        agent: state -> who acts.

    >>> coin = tabulate("coin", "?", lambda s: {"flip": [(0.5, "won", 1.0), (0.5, "lost", 0.0)]} if s == "?" else {}, 1)
    >>> coin.labels, evaluate(coin).value
    (('?', 'won', 'lost'), array([[0.5, nan, nan]]))
    """
    number: dict[Hashable, int] = {start: 0}
    found: dict[Hashable, dict[str, list[tuple[float, Hashable, float]]]] = {}
    frontier = [start]
    for _ in range(horizon):
        here = {s: {a: list(branches) for a, branches in moves(s).items()} for s in frontier}
        found |= here
        frontier = []
        for branches in (b for m in here.values() for b in m.values()):
            for _, ahead, _ in branches:
                if ahead not in number:
                    number[ahead] = len(number)
                    frontier.append(ahead)
    actions = list(dict.fromkeys(a for m in found.values() for a in m))
    widest = max((len(b) for m in found.values() for b in m.values()), default=1)
    chance = np.zeros((len(number), max(len(actions), 1), widest))
    reward, next_state = np.zeros_like(chance), np.zeros(chance.shape, np.int64)
    for state, m in found.items():
        for action, branches in m.items():
            for b, (p, ahead, r) in enumerate(branches):
                at = (number[state], actions.index(action), b)
                chance[at], next_state[at], reward[at] = p, number[ahead], r
    return World(
        name,
        chance,
        next_state,
        reward,
        even(chance),
        horizon,
        labels=tuple(map(label, number)),
        actions=tuple(actions) or ("none",),
        agents=None if agent is None else tuple(map(agent, number)),
    )
