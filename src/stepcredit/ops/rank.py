"""How many directions a set of points spreads over."""

import numpy as np

from stepcredit.data.layout import Floats


def effective_rank(points: Floats, *, eps: float = 1e-8) -> float:
    """exp of the entropy of the singular values of the centered points [n, width]; NaN for fewer than two.

        exp(-sum_j p_j log(p_j + eps)),  p_j = s_j / (sum s + eps)

    >>> round(effective_rank(np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])), 4)
    1.9286
    """
    z = np.asarray(points, float)
    if z.shape[0] < 2 or np.isnan(z).any():
        return float("nan")
    s = np.linalg.svd(z - z.mean(0), compute_uv=False)
    p = s / (s.sum() + eps)
    return float(np.exp(-(p * np.log(p + eps)).sum()))


def against_past(x: Floats) -> Floats:
    """[n - 1] each value from the second on, minus the mean of all before it.

    >>> against_past(np.array([2.0, 2.6, 3.0])).round(4)
    array([0.6, 0.7])
    """
    x = np.asarray(x, float)
    return x[1:] - np.cumsum(x)[:-1] / np.arange(1, x.size)
