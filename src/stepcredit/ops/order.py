"""Order inside cells: who comes before whom, and how far apart they are."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stepcredit.data.layout import Floats, Ints


def place(by: Ints, *keys: Floats | Ints) -> Ints:
    """[n] how many rows of the cell come before this one: those with a smaller first key, at equal first keys with a
    smaller second, and so on. Rows with equal keys share a place, so the order of rows does not matter.

    >>> place(np.array([0, 0, 0, 1]), np.array([3.0, 1.0, 3.0, 7.0]))
    array([1, 0, 1, 0])
    """
    order = np.lexsort((*reversed(keys), by))
    sorted_by = by[order]
    cell = np.ones(by.size, bool)
    cell[1:] = sorted_by[1:] != sorted_by[:-1]
    new = cell.copy()
    for key in keys:
        sorted_key = np.asarray(key)[order]
        new[1:] |= sorted_key[1:] != sorted_key[:-1]
    at = np.arange(by.size)
    out = np.empty(by.size, np.int64)
    out[order] = np.maximum.accumulate(np.where(new, at, 0)) - np.maximum.accumulate(np.where(cell, at, 0))
    return out


def cell_range(x: Floats, by: Ints) -> Floats:
    """[cells] largest minus smallest value of each cell, NaN left out; NaN for a cell without values."""
    low, high = np.full((2, int(by.max()) + 1 if by.size else 0), np.nan)
    np.fmin.at(low, by, x)
    np.fmax.at(high, by, x)
    apart: Floats = high - low
    return apart


def nth(by: Ints, *keys: NDArray[Any]) -> Ints:
    """[n] how many rows of its cell come before each row: by the first key, then the next, then as they
    stand: every row has a number of its own.

    Small keys come first, NaN last.

    >>> nth(np.array([0, 1, 0, 0]), np.array([0.5, 0.0, 0.1, 0.5]))
    array([1, 0, 0, 2])
    """
    order = np.lexsort((*keys[::-1], by))
    at = np.arange(by.size)
    first = np.ones(by.size, bool)
    first[1:] = by[order][1:] != by[order][:-1]
    out = np.empty(by.size, np.int64)
    out[order] = at - np.maximum.accumulate(np.where(first, at, 0))
    return out
