"""Rollouts of a prompt as one graph of states: which places are one node, which steps are one action."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stepcredit.data.encode import dense
from stepcredit.data.layout import Bools, Floats, Ints
from stepcredit.ops.cells import cells


class Walk(NamedTuple):
    """Steps in the order of walking [P]: prompt, turn, steps that follow, outcome of the rollout, and the ids of the
    state, of the state after the step, and (or None) of what was done."""

    group: Ints
    turn: Ints
    left: Ints
    outcome: Floats
    state: Ints
    next_state: Ints
    action: Ints | None


class Graph(NamedTuple):
    """Nodes are states of a prompt [N], numbered by level; links [L] are (node, action, node after), by node.

    u, t, link: [P] node before, node after, and link of each step.
    level: [N] the first turn the node is met. group: [N] its prompt.
    n, won: [N] visits, and the sum of the outcomes of the rollouts that made them; starts, starts_won, ends, ends_won:
    [N] of those visits that were the first, or the last, of their rollout.
    link_u, link_t, link_n, link_won: [L] alike. link_action: [L] links of one action of one node; ids from 0.
    """

    u: Ints
    t: Ints
    link: Ints
    level: Ints
    group: Ints
    n: Floats
    won: Floats
    starts: Floats
    starts_won: Floats
    ends: Floats
    ends_won: Floats
    link_u: Ints
    link_t: Ints
    link_action: Ints
    link_n: Floats
    link_won: Floats

    @property
    def size(self) -> int:
        return self.n.size


def state_graph(walk: Walk) -> Graph:
    """The graph of states of every prompt.

    Equal states of a prompt are one node, but a state met once is known by what led to it (the node before and the
    action), so that rollouts which did the same stay together where states never repeat. Actions that always led from
    a node to the same node are one action, unless one ended a rollout: the end it leads to need not tell how it came
    out. The state after a step is the state of the next one; `next_state` counts after the last.
    """
    first, last = walk.turn == 0, walk.left == 0
    at = np.arange(first.size) + np.cumsum(first) - 1  # a rollout of n steps has n + 1 places
    place = np.zeros(at[-1] + 2, np.int64)
    group, turn, outcome = np.zeros_like(place), np.zeros_like(place), np.zeros(place.size)
    for where, state, more in ((at, walk.state, 0), (at[last] + 1, walk.next_state[last], 1)):
        rows = last if more else slice(None)
        place[where], group[where] = state, walk.group[rows]
        turn[where], outcome[where] = walk.turn[rows] + more, walk.outcome[rows]
    node = cells(group, place)
    if walk.action is not None:
        node = _renamed(node, walk.action, at)
    size = int(node.max()) + 1
    level = np.full(size, turn.max() + 1)
    np.minimum.at(level, node, turn)
    order = np.argsort(level.astype(np.min_scalar_type(int(turn.max()) + 1)), kind="stable")
    number = np.empty(size, np.int64)
    number[order] = np.arange(size)
    node, level = number[node], level[order]
    node_group = np.zeros(size, np.int64)
    node_group[node] = group
    u, t = node[at], node[at + 1]
    began, ended = u[first], t[last]
    link, one, link_action = _links(u, t, walk.action, last, size)
    return Graph(
        u=u,
        t=t,
        link=link,
        level=level,
        group=node_group,
        n=_count(node, size),
        won=_sum(node, outcome, size),
        starts=_count(began, size),
        starts_won=_sum(began, walk.outcome[first], size),
        ends=_count(ended, size),
        ends_won=_sum(ended, walk.outcome[last], size),
        link_u=u[one],
        link_t=t[one],
        link_action=link_action,
        link_n=_count(link, one.size),
        link_won=_sum(link, walk.outcome, one.size),
    )


def _renamed(node: Ints, action: Ints, at: Ints) -> Ints:
    """[places] nodes, those met once named by the last node met more often and all that was done since."""
    free = int(node.max()) + 1
    once = np.bincount(node)[node] == 1
    starts = np.ones(node.size, bool)
    starts[at + 1] = False
    once &= ~starts
    if not once.any():
        return node
    place = np.arange(node.size)
    base = np.maximum.accumulate(np.where(once, 0, place))
    done = np.zeros(node.size, np.uint64)
    done[at + 1] = _mixed(action)
    with np.errstate(over="ignore"):
        power = np.cumprod(np.full(int((place - base).max()) + 1, 0x9E3779B97F4A7C15, np.uint64))
        run = np.cumsum(np.where(once, done * power[place - base], np.uint64(0)))
        name = _mixed(node[base]) + run - run[base]
    out = node.copy()
    out[once] = free + np.unique(name[once], return_inverse=True)[1]
    return dense(out)


def _mixed(ids: Ints) -> NDArray[np.uint64]:
    """Ids as numbers that look random (SplitMix64): sums of them, weighted by powers, are equal by chance only."""
    with np.errstate(over="ignore"):
        x = ids.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(0xD1B54A32D192ED03)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return np.asarray(x ^ (x >> np.uint64(31)))


def _links(u: Ints, t: Ints, action: Ints | None, last: Bools, size: int) -> tuple[Ints, Ints, Ints]:
    """[P] link of each step, [L] a step of each link, [L] its action; links ordered by node."""
    what = np.zeros_like(u)
    if action is not None:
        done = cells(u, action)
        low, high = np.full(int(done.max()) + 1, size), np.full(int(done.max()) + 1, -1)
        np.minimum.at(low, done, t)
        np.maximum.at(high, done, t)
        high[done[last]] = size
        what = np.where((low == high)[done], 0, 1 + dense(action))
    width = int(what.max()) + 1
    if size * width * size >= 2**62:
        slot = cells(u, what)
        key, same_action = slot * size + t, slot
    else:
        same_action = u * width + what
        key = same_action * size + t
    order = np.argsort(key, kind="stable")
    sorted_key = key[order]
    new = np.ones(u.size, bool)
    new[1:] = sorted_key[1:] != sorted_key[:-1]
    link = np.empty(u.size, np.int64)
    link[order] = np.cumsum(new) - 1
    one = order[new]
    mine, free = same_action[one], what[one] == 0
    other = np.ones(one.size, bool)
    other[1:] = free[1:] | (mine[1:] != mine[:-1])
    return link, one, np.cumsum(other) - 1


def _count(at: Ints, size: int) -> Floats:
    return np.asarray(np.bincount(at, minlength=size), float)


def _sum(at: Ints, x: Floats, size: int) -> Floats:
    return np.asarray(np.bincount(at, weights=x, minlength=size), float)
