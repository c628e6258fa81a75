"""What can be said of a chance from a number of tries."""

import numpy as np
from numpy.typing import ArrayLike

from stepcredit.data.layout import Floats


def best_of(k: int, won: ArrayLike, tries: ArrayLike, *, unbiased: bool = False) -> Floats:
    """Chance that the best of k tries wins, NaN where there was no try.

        1 - (1 - won / tries)^k                        plugged in; biased down, by Jensen
        1 - C(tries - won, k) / C(tries, k)            unbiased; NaN for fewer than k tries

    >>> best_of(2, 1.0, 4.0), best_of(2, 1.0, 4.0, unbiased=True)
    (array(0.4375), array(0.5))
    """
    c, n = (np.asarray(x, float) for x in np.broadcast_arrays(won, tries))
    if not unbiased:
        share = np.divide(c, n, out=np.full(n.shape, np.nan), where=n > 0)
        return np.asarray(1 - (1 - share) ** k)
    missed = np.where(n < k, np.nan, 1.0)
    for i in range(k):
        missed = missed * np.divide(n - c - i, n - i, out=np.ones(n.shape), where=n > i)
    return np.asarray(1 - missed)


def wilson(won: ArrayLike, tries: ArrayLike, *, z: float = 1.96) -> tuple[Floats, Floats]:
    """(low, high) of Wilson's interval for a chance; (0, 1) where there was no try.

    >>> [round(float(x), 4) for x in wilson(8.0, 10.0)]
    [0.4902, 0.9433]
    """
    c, n = (np.asarray(x, float) for x in np.broadcast_arrays(won, tries))
    middle = (c + z**2 / 2) / (n + z**2)
    share = np.divide(c, n, out=np.zeros(n.shape), where=n > 0)
    half = z * np.sqrt(n * share * (1 - share) + z**2 / 4) / (n + z**2)
    return np.maximum(middle - half, 0.0), np.minimum(middle + half, 1.0)
