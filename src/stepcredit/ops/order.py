"""Order inside cells: who comes before whom, and how far apart they are."""

import numpy as np

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
