"""Weights of a population of solutions: made to sum to 1, how many they come to, and who is drawn by them."""

import numpy as np

from stepcredit.data.layout import Floats, Ints


def softmax(log_weights: Floats) -> Floats:
    """[n] weights that sum to 1; what is not known (NaN) weighs as the mean of the others.

    >>> softmax(np.log([9.0, 1.0, 1 / 9])).round(4).tolist()
    [0.8901, 0.0989, 0.011]
    >>> softmax(np.array([0.0, np.nan, np.log(3.0)])).round(4).tolist()
    [0.1667, 0.3333, 0.5]
    """
    x = np.asarray(log_weights, float)
    known = ~np.isnan(x)
    if not known.any():
        return np.full(x.size, 1 / max(x.size, 1))
    w = np.exp(np.where(known, x, -np.inf) - x[known].max())
    w[~known] = w[known].mean()
    return np.asarray(w / w.sum())


def effective_size(weights: Floats) -> float:
    """How many equal weights would do as well: (sum w)^2 / sum w^2; 0 where all are 0.

    >>> effective_size(np.array([0.5, 0.5, 0.0, 0.0])), effective_size(np.zeros(3))
    (2.0, 0.0)
    """
    w = np.asarray(weights, float)
    squares = float((w * w).sum())
    return float(w.sum()) ** 2 / squares if squares > 0 else 0.0


def systematic(weights: Floats, n: int, u: float) -> Ints:
    """[n] places drawn in proportion by one u in [0, 1): where (u + k) / n falls among the weights laid end to end.

    The numbers of copies are within one of their means. In turn where all weights are 0.

    >>> systematic(np.array([0.5, 0.4, 0.1]), 4, 0.4).tolist()
    [0, 0, 1, 1]
    """
    w = np.asarray(weights, float)
    if not w.sum() > 0:
        return np.arange(n) % w.size
    held = np.cumsum(w) / w.sum()
    at = np.searchsorted(held, (u + np.arange(n)) / n, side="right")
    return np.asarray(np.minimum(at, np.flatnonzero(w > 0)[-1]), np.int64)
