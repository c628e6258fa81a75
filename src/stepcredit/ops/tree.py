"""Values on trees of shared steps: leaves up to the root, and what an edge adds."""

from typing import Literal, NamedTuple

import numpy as np

from stepcredit.data.layout import Floats, Ints, Layout, Paths, Tree
from stepcredit.ops.center import center
from stepcredit.ops.returns import scan

Backup = Literal["children", "leaves"]
Descendants = Literal["best", "mean"]


class NodeValues(NamedTuple):
    """value, spread: [S + G] of the steps, then of the task roots. spread: population spread of the children's values
    around their own mean (0 where there are none)."""

    value: Floats
    spread: Floats


def backup(tree: Tree, outcome: Floats, *, by: Backup = "children") -> NodeValues:
    """Value of every node from the outcomes of the rollouts that end below it.

    by "children": V(x) = mean over the children of x; a rollout that ends at x is a child with its outcome.
    by "leaves": V(x) = mean outcome over the rollouts that pass x. The two differ where a tree is unbalanced.
    A child without a judged outcome is left out; a node with none is NaN.

    Args:
        outcome: [R], NaN = unknown.

    Returns:
        value and spread, [S + G].
    """
    value = _leaf_means(tree, outcome) if by == "leaves" else _child_means(tree, outcome)
    known, judged = ~np.isnan(value[: tree.S]), ~np.isnan(outcome)
    above = np.concatenate((tree.parent[known], tree.ends[judged]))
    apart = center(np.concatenate((value[: tree.S][known], outcome[judged])), above, spread="none")
    count = np.bincount(above, minlength=value.size)
    squares = np.bincount(above, weights=apart * apart, minlength=value.size)
    variance = np.divide(squares, count, out=np.zeros(value.size), where=count > 0)
    return NodeValues(value, np.sqrt(variance))


def weighted_backup(tree: Tree, outcome: Floats, log_weight: Floats) -> Floats:
    """Value of every node where some children count more than others.

        V(x) = sum_c p_c V(c),  p = softmax of log_weight over the children of x that have a value

    A rollout that ends at x is a child with its outcome and a log-weight of 0. Equal log-weights give
    `backup(by="children")`. A node whose children's log-weights are not all known has no value.

    Without a loop over depth: a rollout weighs in V(x) the product of the p below x on its path.

    Args:
        outcome: [R], NaN = unknown: left out. log_weight: [S] of each step as a child of what it follows.

    Returns:
        [S + G] of the steps, then of the task roots; NaN without a judged outcome below.
    """
    paths, judged = tree.paths, ~np.isnan(outcome)
    known = np.zeros(tree.S, bool)
    known[paths.rows[judged[paths.rollout]]] = True
    above = np.concatenate((tree.parent[known], tree.ends[judged]))
    x = np.concatenate((np.asarray(log_weight, float)[known], np.zeros(int(judged.sum()))))
    top = np.full(tree.S + tree.G, -np.inf)
    np.maximum.at(top, above, np.where(np.isnan(x), -np.inf, x))
    share = x - top[above]
    share -= np.log(np.bincount(above, weights=np.exp(share), minlength=top.size)[above])
    step, end = np.zeros(tree.S), np.zeros(tree.R)
    step[known], end[judged] = share[: int(known.sum())], share[int(known.sum()) :]
    after, inner = end[paths.rollout], np.flatnonzero(paths.left > 0)
    after[inner] = step[paths.rows[inner + 1]]
    below = scan(after, 1.0, paths.left)
    first = paths.start[:-1][tree.steps > 0]
    end[tree.steps > 0] = step[paths.rows[first]] + below[first]
    return _leaf_means(tree, outcome, np.exp(np.concatenate((below, end))))


def outcome_ahead(layout: Layout, outcome: Floats, gamma: float = 1.0, *, over: Descendants = "best") -> Floats:
    """[S] what comes of a step: gamma^k R over the rollouts through it, k = steps that follow it on the rollout.

    Args:
        outcome: [R], NaN = unknown: left out. gamma: below 1, an outcome counts less the further it is.
        over: the "best" of the rollouts, or their "mean" (a tree search's Q = W / N, with gamma per level). Of outcomes
            0 and 1 the best is gamma^(steps to the nearest success), 0 where there is none.

    >>> two = Layout(np.array([0, 0]), np.array([0, 0, 1]))
    >>> outcome_ahead(two, np.array([1.0, 0.0]), 0.5)
    array([0.5, 1. , 0. ])
    """
    paths = layout.paths
    x = gamma ** paths.left.astype(float) * np.asarray(outcome, float)[paths.rollout]
    if over == "mean":
        return layout.merge(x)
    best = np.full(layout.S, np.nan)
    np.fmax.at(best, paths.rows, x)
    return best


def _leaf_means(tree: Tree, outcome: Floats, weight: Floats | None = None) -> Floats:
    """weight: [P + R] of each rollout in the mean of each node on its path, then of its root."""
    node = np.concatenate((tree.paths.rows, tree.S + tree.group))
    x = np.concatenate((outcome[tree.paths.rollout], outcome))
    mean = np.full(tree.S + tree.G, np.nan)
    known = ~np.isnan(x if weight is None else x + weight)
    mean[node[known]] = (x - center(x, node, spread="none", weight=weight))[known]
    return mean


def _child_means(tree: Tree, outcome: Floats) -> Floats:
    """Only forks are averaged, the lowest first; a step between forks is worth what comes below it."""
    forks, number = _forks(tree)
    value, total, count = np.full(forks.S + forks.G, np.nan), *np.zeros((2, forks.S + forks.G))

    def give(x: Floats, to: Ints) -> None:
        x, to = x[~np.isnan(x)], to[~np.isnan(x)]
        bare = np.isnan(value[to])
        value[to[bare]] = x[bare]
        np.add.at(total, to, x - value[to])  # as the distance to one child: equal children have exactly their mean
        np.add.at(count, to, 1.0)

    give(outcome, forks.ends)
    order = np.argsort(-forks.depth, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(forks.depth[order])) + 1):
        value[rows] += total[rows] / np.maximum(count[rows], 1.0)
        give(value[rows], forks.parent[rows])
    value[forks.S :] += total[forks.S :] / np.maximum(count[forks.S :], 1.0)

    paths = tree.paths
    is_fork = number[paths.rows] >= 0
    place = np.where(is_fork, np.arange(is_fork.size), is_fork.size)
    below = np.minimum.accumulate(place[::-1])[::-1]
    out = np.full(tree.S + tree.G, np.nan)
    out[paths.rows] = outcome[paths.rollout]
    held = below < paths.start[1:][paths.rollout]
    out[paths.rows[held]] = value[number[paths.rows[below[held]]]]
    out[tree.S :] = value[forks.S :]
    return out


def _forks(tree: Tree) -> tuple[Tree, Ints]:
    """The tree of the steps with more than one child, rollouts that end there included; [S] number in it, or -1."""
    children = np.bincount(np.concatenate((tree.parent, tree.ends)), minlength=tree.S)[: tree.S]
    fork = np.flatnonzero(children > 1)
    number = np.full(tree.S, -1)
    number[fork] = np.arange(fork.size)
    inside = number[tree.paths.rows]
    start = np.concatenate(([0], np.cumsum(inside >= 0)))[tree.paths.start]
    return Tree(tree.group, tree.rollout[fork], Paths(start, inside[inside >= 0])), number


def edge_advantage(tree: Tree, value: Floats) -> Floats:
    """[S] V(step) - V(what it was taken in)."""
    return value[: tree.S] - value[tree.parent]
