"""A Batch from flat columns, one entry per step row, rows in any order."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stepcredit.data.batch import Batch
from stepcredit.data.columns import column
from stepcredit.data.encode import encode
from stepcredit.data.layout import Ints, Layout, Paths, as_ints
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
    given = dict(columns)
    if "parent" in given:
        layout, order, labels = _tree(given)
    else:
        layout, order, labels = _runs(given)
    if "token_step" in given:
        at = np.empty(order.size + 1, np.int64)
        at[order], at[-1] = np.arange(order.size), -1
        layout = layout.with_tokens(at[as_ints(given.pop("token_step"), "token_step")])
    batch = Batch(layout, {}, labels)
    for name, values in given.items():
        batch = batch.with_columns(**{name: _fitted(name, values, layout, order)})
    if "batch" in batch:
        numbers = batch["batch"]
        rest = {n: v for n, v in batch.columns.items() if n != "batch"}
        tied = Layout(layout.group, layout.rollout, layout.shared, layout.token_step, numbers)
        batch = Batch(tied, rest, batch.keys, batch.axes)
    return batch, order


def _runs(given: dict[str, Any]) -> tuple[Layout, Ints, dict[str, Sequence[Hashable]]]:
    if "rollout" not in given:
        raise LayoutError("columns need 'rollout': which rollout each step row belongs to")
    rollout, names = encode(given.pop("rollout"))
    steps, group_given = rollout.size, given.pop("group", None)
    if group_given is None:
        group_given = [0] * len(names)
    group, group_keys = encode(group_given)
    if group.size == steps and steps:
        rollout, names, group = _by_group(rollout, names, group)
    elif group.size != len(names):
        raise LayoutError(f"group must hold one entry per step row ({steps}) or per rollout ({len(names)})")
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
        raise LayoutError(f"parent must be a row index in -1..{n - 1}")
    if "rollout" in given:
        raise LayoutError("columns name both 'parent' and 'rollout': in a tree the leaves are the rollouts")
    node_group, keys = encode(given.pop("group", [0] * n))
    if node_group.size != n:
        raise LayoutError(f"group must hold one entry per node ({n}); got {node_group.size}")
    leaf = np.ones(n, bool)
    leaf[parent[parent >= 0]] = False
    leaves = np.flatnonzero(leaf)
    up, levels = leaves, [leaves]
    while np.any(up >= 0):
        if len(levels) > n:
            break
        up = np.where(up < 0, -1, parent[up])
        levels.append(up)
    grid = np.array(levels[::-1]).T if n else np.zeros((0, 0), np.int64)
    on_path = grid >= 0
    nodes = grid[on_path]
    if np.unique(nodes).size < n or len(levels) > n + 1:
        raise LayoutError("parents form a loop")
    _, first = np.unique(nodes, return_index=True)
    walker = np.repeat(np.arange(leaves.size), on_path.sum(1))
    order = nodes[np.sort(first)]
    row = np.empty(n, np.int64)
    row[order] = np.arange(n)
    start = np.concatenate(([0], np.cumsum(on_path.sum(1))))
    layout = Layout(node_group[leaves], walker[np.sort(first)], shared=Paths(start, row[nodes]))
    return layout, order, {"group": keys, "rollout": leaves.tolist()}


def _fitted(name: str, values: Any, layout: Layout, order: Ints) -> Any:
    """Values in the batch's order and on the column's axis."""
    known = column(name)
    axis = known.axis if known else "S"
    values = values.detach().cpu().numpy() if hasattr(values, "detach") else values
    size = len(values)
    if axis == "K":
        return values
    if axis == "G" and size == layout.G:
        return values
    if axis == "R" and size == layout.R and (size != layout.S or layout.is_tree):
        return values
    if size != layout.S:
        also = f" or per rollout ({layout.R})" if axis == "R" else ""
        raise LayoutError(f"column {name!r} must hold one entry per step row ({layout.S}){also}; got {size}")
    if isinstance(values, np.ndarray):
        sorted_ = values[order]
        return sorted_ if axis == "S" else _constant(name, sorted_, layout)
    listed = [values[i] for i in order.tolist()]
    return listed if axis == "S" else _constant(name, _as_array(listed), layout)


def _as_array(listed: list[Any]) -> NDArray[Any]:
    try:
        return np.array(listed, dtype=float)
    except (TypeError, ValueError):
        out = np.empty(len(listed), dtype=object)
        out[:] = listed
        return out


def _constant(name: str, values: NDArray[Any], layout: Layout) -> Any:
    """[S] -> [R] for a column that says one thing of the whole rollout; in a tree, what its last step says."""
    picked = values[layout.last]
    if layout.is_tree:
        return picked.tolist()
    expected = picked[layout.rollout]
    same = (values == expected) | ((values != values) & (expected != expected))
    if not np.all(same):
        s = int(np.flatnonzero(~np.asarray(same, bool))[0])
        raise LayoutError(
            f"column {name!r} says one thing of a whole rollout, but varies inside rollout {int(layout.rollout[s])}: "
            f"{values[s]!r} and {expected[s]!r}"
        )
    return picked.tolist()
