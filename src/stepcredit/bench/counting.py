"""Counting pairs: what `metrics` and `paired` share."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stepcredit.data.layout import Bools, Floats, Ints


def identify(ids: NDArray[Any]) -> Ints:
    """Ids of any kind as 0, 1, ... in their order."""
    return np.unique(ids, return_inverse=True)[1].astype(np.int64, copy=False)


def size_of(ids: Ints) -> int:
    """How many ids 0, 1, ... there are."""
    return int(ids.max()) + 1 if ids.size else 0


def wins(credit: Floats, good: Bools, cell: Ints, weight: Floats) -> tuple[Floats, Floats]:
    """[C] pairs (good, bad) won in each cell, ties half, and [C] all pairs."""
    size = size_of(cell)
    order = np.lexsort((credit, cell))
    c, x, g, w = cell[order], credit[order], good[order], weight[order]
    new = np.ones(c.size, bool)
    new[1:] = (c[1:] != c[:-1]) | (x[1:] != x[:-1])
    tie = np.cumsum(new) - 1
    tie_cell = c[new]
    good_in, bad_in = sums(tie, w * g, tie_cell.size), sums(tie, w * ~g, tie_cell.size)
    bad = sums(tie_cell, bad_in, size)
    below = np.cumsum(bad_in) - bad_in - (np.cumsum(bad) - bad)[tie_cell]
    won = sums(tie_cell, good_in * (below + bad_in / 2), size)
    return won, bad * sums(tie_cell, good_in, size)


def sums(at: Ints, x: Floats, size: int) -> Floats:
    """[size] the sum of x at each id."""
    return np.bincount(at, x, minlength=size).astype(np.float64, copy=False)
