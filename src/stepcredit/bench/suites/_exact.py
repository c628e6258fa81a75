"""What worlds hold exactly, and draws of rollouts beside it: visits, advantages, the gradient of the policy."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from stepcredit.data.batch import Batch
from stepcredit.data.layout import Bools, Floats, Ints
from stepcredit.envs.tabular import World, evaluate, sample
from stepcredit.ops import cells


class Draws(NamedTuple):
    """Draws of rollouts of the same worlds one after another. [D] draws, [W] worlds, [S] steps of all draws.

    batches: [D], what methods are given; a world is a prompt. n: rollouts per world in each.
    bounds: [D * W + 1] where the rows of each world in each draw begin.
    world, draw, state, action: [S], the true state and the action as numbers of the world's tables.
    truth: [S] exact advantage. weight: [S] d_t(s) pi(a|s), how often a rollout takes such a step at that time.
    kind: [S] one id per (world, time, state, action). decision, good: [S].
    """

    batches: Sequence[Batch]
    n: int
    bounds: Ints
    world: Ints
    draw: Ints
    state: Ints
    action: Ints
    truth: Floats
    weight: Floats
    kind: Ints
    decision: Bools
    good: Bools


def visits(world: World) -> Floats:
    """[T, N] d_t(s): the chance that a rollout takes its step t in state s.

    d_0 = [s is the start],  d_{t+1}(s') = sum_{s, a, b: next_state(s, a, b) = s'} d_t(s) pi(a|s) chance(s, a, b)

    Rollouts that have ended take no step: every row sums to the chance of being that long.
    """
    flow = world.policy[..., None] * world.chance
    ahead = np.where(world.chance > 0, world.next_state, 0).ravel()
    out = np.zeros((world.horizon, len(world.labels)))
    out[0, world.start] = 1.0
    for t in range(world.horizon - 1):
        step = (out[t, :, None, None] * flow).ravel()
        out[t + 1] = np.where(world.ends, 0.0, np.bincount(ahead, step, minlength=out.shape[1]))
    return out


def square(world: World) -> float:
    """Expected sum of squared advantages over the steps of a rollout: sum_t sum_s d_t(s) sum_a pi(a|s) A_t(s, a)^2."""
    advantage = _advantage(world)
    visited = visits(world)[: len(advantage)]
    return float((visited[..., None] * world.policy * advantage**2).sum())


def observed(world: World) -> Ints:
    """[N] one id per label: states that look alike are one."""
    number: Ints = np.unique(list(world.labels), return_inverse=True)[1].astype(np.int64)
    return number


def gradient(world: World) -> Floats:
    """[L, A] dJ / d logits[l, a] of J = V_0(start), for a softmax policy with one logit per label and action.

        sum_t sum_{s: label(s) = l} d_t(s) pi(a|s) A_t(s, a)

    at pi, which the logits are added to (in logs): exact for any policy, and where states share labels it is the
    direction that a policy can follow which does not tell them apart.
    """
    advantage = _advantage(world)
    each = (visits(world)[: len(advantage), :, None] * world.policy * advantage).sum(0)
    label = observed(world)
    out = np.zeros((int(label.max()) + 1, each.shape[1]))
    np.add.at(out, label, each)
    return out


def estimated(worlds: Sequence[World], draws: Draws, credit: Floats) -> list[list[Floats]]:
    """Per draw and world [L, A], the gradient that credit stands for: sum over steps of credit * d log pi(a|s).

    d log pi(a|s) / d logits[l, b] = [b = a] - pi(b|s), l the label of s. Steps are summed, not averaged per rollout.
    """
    out = []
    for i, (start, end) in enumerate(zip(draws.bounds[:-1].tolist(), draws.bounds[1:].tolist(), strict=True)):
        world, rows = worlds[i % len(worlds)], slice(start, end)
        states, actions = world.policy.shape
        at = draws.state[rows] * actions + draws.action[rows]
        took = np.bincount(at, credit[rows], minlength=states * actions).reshape(states, actions)
        label = observed(world)
        whole = np.zeros((int(label.max()) + 1, actions))
        np.add.at(whole, label, took - took.sum(-1, keepdims=True) * world.policy)
        out.append(whole)
    return [out[i : i + len(worlds)] for i in range(0, len(out), len(worlds))]


def draw(worlds: Sequence[World], n: int, seeds: Sequence[int]) -> Draws:
    """n rollouts of each world for each seed, with what is exactly known of each step."""
    visited = [visits(world) for world in worlds]
    batches, parts = [], []
    for number, seed in enumerate(seeds):
        batch = sample(worlds, n, seed)
        hidden = sample([replace(world, labels=(), actions=()) for world in worlds], n, seed)
        lay, state, action = batch.layout, _numbers(hidden, "state"), _numbers(hidden, "action")
        weight = np.zeros(lay.S)
        for w, world in enumerate(worlds):
            at = lay.step_group == w
            weight[at] = visited[w][lay.turn[at], state[at]] * world.policy[state[at], action[at]]
        known = (batch["truth.advantage"], weight, lay.turn, batch["truth.decision"] > 0, batch["truth.good"] > 0)
        batches.append(batch)
        parts.append((lay.step_group, np.full(lay.S, number), state, action, *known))
    world_of, draw_of, state, action, truth, weight, turn, decision, good = (
        np.concatenate(column) for column in zip(*parts, strict=True)
    )
    slot = draw_of * len(worlds) + world_of
    bounds = np.searchsorted(slot, np.arange(len(worlds) * len(seeds) + 1))
    kind = cells(world_of, turn, state, action)
    return Draws(batches, n, bounds, world_of, draw_of, state, action, truth, weight, kind, decision, good)


def _advantage(world: World) -> Floats:
    """[T, N, A] exact advantage; 0 where a state cannot be reached or an action not be taken."""
    return np.nan_to_num(evaluate(world).advantage)


def _numbers(batch: Batch, name: str) -> Ints:
    keys: Any = batch.keys[name]
    return np.asarray(np.array([int(key) for key in keys])[batch[name]])
