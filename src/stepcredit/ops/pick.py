"""Choosing rows: their place inside a cell, what hangs together, the steps from a turn on."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stepcredit.data.encode import dense
from stepcredit.data.layout import Bools, Ints, Layout


def place(by: Ints, *keys: NDArray[Any]) -> Ints:
    """[n] how many rows of its cell come before each row: by the first key, then the next, then as they stand.

    Small keys come first, NaN last.

    >>> place(np.array([0, 1, 0, 0]), np.array([0.5, 0.0, 0.1, 0.5]))
    array([1, 0, 0, 2])
    """
    order = np.lexsort((*keys[::-1], by))
    at = np.arange(by.size)
    first = np.ones(by.size, bool)
    first[1:] = by[order][1:] != by[order][:-1]
    out = np.empty(by.size, np.int64)
    out[order] = at - np.maximum.accumulate(np.where(first, at, 0))
    return out


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


def since(layout: Layout, turn: Ints) -> Bools:
    """[S] is the step at or after the turn ([R]) of a rollout that passes it?

    >>> since(Layout(np.array([0, 0]), np.array([0, 0, 1])), np.array([1, 0]))
    array([False,  True,  True])
    """
    paths = layout.paths
    late = paths.turn >= turn[paths.rollout]
    passed: Bools = np.bincount(paths.rows[late], minlength=layout.S) > 0
    return passed
