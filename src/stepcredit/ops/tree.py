"""Values on trees of shared steps: leaves up to the root, and what an edge adds."""

from typing import Literal, NamedTuple

import numpy as np

from stepcredit.data.layout import Floats, Tree

Backup = Literal["children", "leaves"]


class NodeValues(NamedTuple):
    """value, spread: [S + G] of the steps, then of the task roots. spread: population spread of the children's values
    (0 where there are none)."""

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
    nodes = tree.S + tree.G
    ends, judged = tree.ends, ~np.isnan(outcome)
    # Shifted by one outcome of the task: equal outcomes then differ by exactly 0, whatever the shape of the tree.
    base = np.zeros(tree.G)
    base[tree.group[judged][::-1]] = outcome[judged][::-1]
    x = outcome - base[tree.group]
    total = np.bincount(ends[judged], weights=x[judged], minlength=nodes)
    count = np.bincount(ends[judged], minlength=nodes).astype(float)
    leaf_total, leaf_count = total.copy(), count.copy()
    mean = np.full(nodes, np.nan)
    order = np.argsort(-tree.depth, kind="stable")
    level_ends = np.flatnonzero(np.diff(tree.depth[order])) + 1
    for rows in np.split(order, level_ends) if order.size else []:
        v = np.divide(total[rows], count[rows], out=np.full(rows.size, np.nan), where=count[rows] > 0)
        mean[rows] = v
        up, known = tree.parent[rows], ~np.isnan(v)
        np.add.at(total, up[known], v[known])
        np.add.at(count, up[known], 1.0)
        np.add.at(leaf_total, up, leaf_total[rows])
        np.add.at(leaf_count, up, leaf_count[rows])
    np.divide(total, count, out=mean, where=count > 0)
    children = ~np.isnan(mean[: tree.S])
    above = np.concatenate((tree.parent[children], ends[judged]))
    apart = np.concatenate((mean[: tree.S][children], x[judged])) - mean[above]
    squares = np.bincount(above, weights=apart * apart, minlength=nodes)
    variance = np.divide(squares, count, out=np.zeros(nodes), where=count > 0)
    if by == "leaves":
        mean = np.divide(leaf_total, leaf_count, out=np.full(nodes, np.nan), where=leaf_count > 0)
    return NodeValues(mean + np.concatenate((base[tree.step_group], base)), np.sqrt(variance))


def edge_advantage(tree: Tree, value: Floats) -> Floats:
    """[S] V(step) - V(what it was taken in)."""
    return value[: tree.S] - value[tree.parent]
