"""The largest values of a cell."""

import numpy as np

from stepcredit.data.layout import Bools, Floats, Ints


def top_share(x: Floats, by: Ints, share: float) -> Bools:
    """[n] whether a value is among the largest `share` of its cell.

    It must lie above the value of rank int((1 - share) * n) in its cell, counted from the smallest = 0. That value and
    its ties are not among the largest, so a cell of equal values has none.

    Args:
        x: [n] values; NaN is left out and not among the largest.
        by: [n] cell of each value, any integers >= 0.
        share: 0 to 1.

    >>> top_share(np.array([1.0, 2.0, 3.0, 4.0]), np.zeros(4, int), 0.5)
    array([False, False, False,  True])
    """
    judged = ~np.isnan(x)
    count = np.bincount(by[judged], minlength=int(by.max(initial=-1)) + 1)
    order = np.lexsort((x, by))
    order = order[judged[order]]
    rank = np.clip(((1 - share) * count).astype(np.int64), 0, np.maximum(count - 1, 0))
    threshold = np.full(count.size, np.inf)
    some = count > 0
    threshold[some] = x[order][(np.cumsum(count) - count + rank)[some]]
    above: Bools = x > threshold[by]
    return above
