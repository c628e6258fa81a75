"""A Batch from flat columns, one entry per step row, rows in any order."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stepcredit.data.batch import Batch
from stepcredit.data.columns import column
from stepcredit.data.encode import encode
from stepcredit.data.layout import Ints, Layout, Paths, as_ints
from stepcredit.data.tensors import plain
from stepcredit.errors import LayoutError

Columns = Mapping[str, ArrayLike | Sequence[Any]]


def from_columns(columns: Columns) -> tuple[Batch, Ints]:
    """A Batch from flat columns, and where each of its rows stood in them.

    Args:
        columns: `rollout` and `group` per step row, any keys; rows of a rollout in their order, rollouts in any order,
            interleaved too. Equal rollout keys in different groups are different rollouts. [R] columns (`group`,
            `outcome`, `weight`, ...) per step row, where they must be constant inside a rollout, or one per rollout in
            order of first appearance. [K] columns with `token_step`, the index of the step row.
            For a tree: `parent` per row (row index, -1 = child of the prompt) instead of `rollout`; the leaves are the
            rollouts, `outcome` per row is read at the leaves.

    Returns:
        batch, and order [S]: row s of the batch is row order[s] of the columns.

    Raises:
        LayoutError: lengths that do not fit, a column that varies inside a rollout, a loop among parents.
    """
    given = {name: plain(values) for name, values in columns.items()}
    if "parent" in given:
        layout, order, labels = _tree(given)
    else:
        layout, order, labels = _runs(given)
    if "token_step" in given:
        at = np.empty(order.size + 1, np.int64)
        at[order], at[-1] = np.arange(order.size), -1
        step = as_ints(given.pop("token_step"), "token_step")
        if step.size and (step.min() < -1 or step.max() >= order.size):
            raise LayoutError(f"token_step must lie in -1..{order.size - 1}; got {step.min()}..{step.max()}")
        layout = layout.with_tokens(at[step])
    batch = Batch(layout, {}, labels)
    fitted = {name: _fitted(name, values, layout, order, labels["rollout"]) for name, values in given.items()}
    return batch.with_columns(**fitted), order


def _runs(given: dict[str, Any]) -> tuple[Layout, Ints, dict[str, Sequence[Hashable]]]:
    if "rollout" not in given:
        raise LayoutError("columns need 'rollout': which rollout each step row belongs to")
    rollout, names = encode(given.pop("rollout"))
    if None in names:
        row = int(np.argmax(rollout == names.index(None)))
        raise LayoutError(f"row {row} names no rollout", hint="give every step row the name of its rollout")
    steps, group_given = rollout.size, given.pop("group", None)
    if group_given is None:
        group_given = [0] * len(names)
    group, group_keys = encode(group_given)
    if group.size == steps and steps:
        rollout, names, group = _by_group(rollout, names, group)
    elif group.size != len(names):
        raise LayoutError(
            f"group must hold one entry per step row ({steps}) or per rollout ({len(names)}); got {group.size}"
        )
    order = np.argsort(rollout, kind="stable")
    return Layout(group, rollout[order]), order, {"group": group_keys, "rollout": names}


def _by_group(rollout: Ints, names: list[Hashable], group: Ints) -> tuple[Ints, list[Hashable], Ints]:
    """Rollouts told apart by group, numbered by first appearance; [R] group."""
    pair = group * (len(names) + 1) + rollout
    kept, first, ids = np.unique(pair, return_index=True, return_inverse=True)
    rank = np.empty(kept.size, np.int64)
    by_first = np.argsort(first)
    rank[by_first] = np.arange(kept.size)
    rows = first[by_first]
    return rank[ids], [names[i] for i in rollout[rows].tolist()], group[rows]


def _tree(given: dict[str, Any]) -> tuple[Layout, Ints, dict[str, Sequence[Hashable]]]:
    """Nodes with parents: leaves are the rollouts; a node is stored with the first leaf below it."""
    parent = as_ints(given.pop("parent"), "parent")
    n = parent.size
    if n and (parent.min() < -1 or parent.max() >= n):
        raise LayoutError(f"parent must be a row index in -1..{n - 1}; got {parent.min()}..{parent.max()}")
    if "rollout" in given:
        raise LayoutError("columns name both 'parent' and 'rollout': in a tree the leaves are the rollouts")
    node_group, keys = encode(given.pop("group", [0] * n))
    if node_group.size != n:
        raise LayoutError(f"group must hold one entry per node ({n}); got {node_group.size}")
    inner = np.flatnonzero(parent >= 0)
    apart = inner[node_group[inner] != node_group[parent[inner]]]
    if apart.size:
        raise LayoutError(f"node {apart[0]} and its parent {parent[apart[0]]} are of two groups")
    leaf = np.ones(n, bool)
    leaf[parent[inner]] = False
    leaves = np.flatnonzero(leaf)
    nodes, length = _ways(parent, leaves)
    first = np.empty(n, np.int64)
    first[nodes[::-1]] = np.arange(nodes.size)[::-1]
    walker = np.repeat(np.arange(leaves.size), length)
    order = nodes[np.sort(first)]
    row = np.empty(n, np.int64)
    row[order] = np.arange(n)
    start = np.concatenate(([0], np.cumsum(length)))
    layout = Layout(node_group[leaves], walker[np.sort(first)], shared=Paths(start, row[nodes]))
    return layout, order, {"group": keys, "rollout": leaves.tolist()}


def _ways(parent: Ints, leaves: Ints) -> tuple[Ints, Ints]:
    """Nodes from the root to each leaf, one way after the other; [leaves] their lengths. By doubling: after pass j
    `up` is the ancestor 2^j above."""
    n = parent.size
    up = np.append(np.where(parent < 0, n, parent), n)
    ups, depth = [up], np.append(np.ones(n, np.int64), 0)
    while np.any(up[:n] < n):
        if len(ups) > n.bit_length():
            raise LayoutError(f"parents form a loop; node {int(np.argmax(up < n))} never comes to a root")
        depth = depth + depth[up]
        up = up[up]
        ups.append(up)
    length = depth[leaves]
    nodes = np.repeat(leaves, length)
    above = np.repeat(np.cumsum(length), length) - 1 - np.arange(nodes.size)
    for bit, up in enumerate(ups):
        nodes = np.where(above >> bit & 1, up[nodes], nodes)
    return nodes, length


def _fitted(name: str, values: Any, layout: Layout, order: Ints, names: Sequence[Hashable]) -> Any:
    """Values in the batch's order and on the column's axis."""
    known = column(name)
    axis = known.axis if known else "S"
    size = len(values)
    if axis == "K" and layout.token_step is not None:
        return values
    if axis == "G":
        if size != layout.G:
            raise LayoutError(f"column {name!r} must hold one entry per task ({layout.G}); got {size}")
        return values
    if axis == "R" and size == layout.R and (size != layout.S or layout.is_tree):
        return values
    if size != layout.S:
        also = f" or per rollout ({layout.R})" if axis == "R" else ""
        raise LayoutError(f"column {name!r} must hold one entry per step row ({layout.S}){also}; got {size}")
    if isinstance(values, np.ndarray):
        sorted_ = values[order]
        return sorted_ if axis in ("S", "K") else _constant(name, sorted_, layout, names)
    listed = [values[i] for i in order.tolist()]
    if axis in ("S", "K"):
        return listed
    array = np.empty(size, dtype=object)
    array[:] = listed
    return _constant(name, array, layout, names)


def _constant(name: str, values: NDArray[Any], layout: Layout, names: Sequence[Hashable]) -> Any:
    """[S] -> [R] for a column that says one thing of the whole rollout; in a tree, what its last step says."""
    picked = values[layout.last]
    if layout.is_tree:
        return picked.tolist()
    expected = picked[layout.rollout]
    same = (values == expected) | ((values != values) & (expected != expected))
    if not np.all(same):
        s = int(np.flatnonzero(~np.asarray(same, bool))[0])
        raise LayoutError(
            f"column {name!r} says one thing of a whole rollout, but varies inside rollout "
            f"{names[layout.rollout[s]]!r}: {values[s]} and {expected[s]}"
        )
    return picked.tolist()
