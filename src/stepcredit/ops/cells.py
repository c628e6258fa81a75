"""Which steps are comparable: cells by state, history, action, turn, sibling; and how much they merge."""

from typing import NamedTuple

import numpy as np

from stepcredit.data.encode import dense
from stepcredit.data.layout import Ints, Layout
from stepcredit.ops.order import nth


def cells(*keys: Ints) -> Ints:
    """[n] one id per distinct tuple of keys: rows are in one cell exactly where all keys agree.

    >>> cells(np.array([0, 0, 1]), np.array([5, 5, 5]))
    array([0, 0, 1])
    """
    out, size = np.zeros(keys[0].size, np.int64), 1
    for key in keys:
        key = dense(key)
        width = int(key.max(initial=0)) + 1
        if size * width >= 2**63:
            out = dense(out)
            size = int(out.max(initial=0)) + 1
        out, size = out * width + key, size * width
    return dense(out)


def back(layout: Layout, x: Ints, k: int = 1) -> Ints:
    """[S] the value k steps earlier on the way here; -1 where there is none. Values must be 0 or more.

    >>> back(Layout(np.array([0]), np.array([0, 0, 0])), np.array([7, 8, 9]))
    array([-1,  7,  8])
    """
    row = np.arange(layout.S)
    for _ in range(k):
        row = np.where(row < 0, -1, layout.previous[row])
    return np.where(row < 0, -1, x[row])


def windows(layout: Layout, key: Ints, k: int) -> Ints:
    """[S] cells of equal last k keys, the own one included, inside a task; shorter at the start of a rollout.

    Windows of different length are never equal.
    """
    keys = [dense(key) + 1]
    for _ in range(1, min(k, int(layout.turn.max(initial=-1)) + 1)):
        row = layout.previous
        keys.append(np.where(row < 0, 0, keys[-1][row]))
    return cells(layout.step_group, *keys)


def state_cells(layout: Layout, state: Ints) -> Ints:
    """[S] same task, same state."""
    return cells(layout.step_group, state)


def turn_cells(layout: Layout) -> Ints:
    """[S] same task, same turn index: only rollouts that reach the turn are in its cell."""
    return cells(layout.step_group, layout.turn)


def sibling_cells(layout: Layout) -> Ints:
    """[S] steps that follow the same step; first steps of a task are siblings."""
    return dense(np.where(layout.previous < 0, layout.S + layout.step_group, layout.previous))


def random_cells(by: Ints, size: int, seed: int = 0, *, draw: Ints | None = None) -> Ints:
    """[n] rows of each cell dealt at random into cells of `size` rows; the last of them may hold fewer.

    The k-th row of a cell has the k-th number of a stream that the seed fixes for good, so how a cell is dealt does not
    depend on the other cells.

    Args:
        by: [n] cells that are dealt, any integers >= 0.
        size: rows of a new cell; below 1: cells stay whole.
        seed: of the stream (PCG64).
        draw: [n] cells in which rows are counted for their number, where these differ from `by`: parts of one such cell
            are then dealt independently of one another.

    >>> random_cells(np.array([0, 0, 0, 1, 1, 1]), 2, seed=1)
    array([0, 1, 0, 2, 3, 2])
    """
    if size < 1:
        return dense(by)
    count = nth(by if draw is None else draw)
    number = np.random.PCG64(seed).random_raw(int(count.max(initial=-1)) + 1)
    return cells(by, nth(by, number[count]) // size)


def components(size: int, a: Ints, b: Ints) -> Ints:
    """[size] which rows hang together by the links a[i] - b[i], over any number of them: equal ids, from 0.

    >>> components(5, np.array([0, 4]), np.array([3, 3]))
    array([0, 1, 2, 0, 0])
    """
    root = np.arange(size)
    while True:
        low = np.minimum(root[a], root[b])
        new = root.copy()
        np.minimum.at(new, root[a], low)
        np.minimum.at(new, root[b], low)
        while np.any(new[new] != new):
            new = new[new]
        if np.array_equal(new, root):
            return dense(root)
        root = new


class Merge(NamedTuple):
    """How much a grouping merges: number of cells, share of rows whose cell holds another row, share of rows that are
    alone, rows of the largest cell."""

    cells: int
    merged: float
    singletons: float
    largest: int


def merge_rate(cell: Ints) -> Merge:
    """Merge rate and singleton share of a grouping.

    >>> merge_rate(np.array([0, 0, 1]))
    Merge(cells=2, merged=0.6666666666666667, singletons=0.3333333333333333, largest=2)
    """
    if cell.size == 0:
        return Merge(0, float("nan"), float("nan"), 0)
    count = np.bincount(dense(cell))
    alone = int(np.sum(count == 1)) / cell.size
    return Merge(count.size, 1 - alone, alone, int(count.max()))
