"""The beta distribution without SciPy: what a chance can be, given successes and failures."""

import math

import numpy as np
from numpy.typing import ArrayLike

from stepcredit.data.layout import Floats


def log_beta(a: ArrayLike, b: ArrayLike) -> Floats:
    """Log of the beta function B(a, b) = G(a) G(b) / G(a + b); a, b > 0.

    The error is below 1e-11, or 1e-15 of the largest log G where that is more.

    >>> bool(np.isclose(log_beta(2.0, 3.0), np.log(1 / 12)))
    True
    """
    x, y = np.asarray(a, float), np.asarray(b, float)
    return _log_gamma(x) + _log_gamma(y) - _log_gamma(x + y)


def chance_above(floor: float, a: ArrayLike, b: ArrayLike) -> Floats:
    """Chance that a Beta(a, b) variable is above a floor between 0 and 1.

        1 - I_floor(a, b),  I_x(a, b) = x^a (1 - x)^b / (a B(a, b)) / (1 + d_1 / (1 + d_2 / (1 + ...)))

    On the far side of the mean the other tail, I_(1 - floor)(b, a), is summed: its fraction converges faster there.
    Source: DLMF 8.17.22.

    >>> round(float(chance_above(0.25, 1.0, 2.0)), 12)
    0.5625
    """
    shape = np.broadcast(a, b).shape
    x, y = (np.broadcast_to(np.asarray(v, float), shape).ravel() for v in (a, b))
    below = floor * (x + y + 2) < x + 1
    p, q, z = np.where(below, x, y), np.where(below, y, x), np.where(below, floor, 1 - floor)
    front = np.exp(p * np.log(z) + q * np.log1p(-z) - log_beta(p, q)) / p
    tail = np.clip(front / _fraction(p, q, z), 0.0, 1.0)
    return np.asarray(np.where(below, 1 - tail, tail).reshape(shape))


def _fraction(a: Floats, b: Floats, x: Floats) -> Floats:
    """[n] the continued fraction of I_x(a, b), from its last term up: 6 terms do far from the mean, 30 unless both a
    and b are large."""
    most = np.minimum(a, b)
    slow, large = np.flatnonzero((x * (b + 10) > 1) | (most > 25)), np.flatnonzero(most > 25)
    out = np.ones(x.size)
    for m in range(20 + 2 * math.isqrt(int(most.max(initial=0.0))), 0, -1):
        at = large if m > 30 else slow if m > 6 else slice(None)
        s, t, z = a[at], b[at], x[at]
        even = 1 + m * (t - m) * z / ((s + 2 * m - 1) * (s + 2 * m)) / out[at]
        out[at] = 1 - (s + m - 1) * (s + t + m - 1) * z / ((s + 2 * m - 2) * (s + 2 * m - 1)) / even
    return out


def _log_gamma(x: Floats) -> Floats:
    """Stirling's series after six steps up."""
    z = x + 6.0
    w = 1 / z**2
    series = (1 / 12 - w * (1 / 360 - w * (1 / 1260 - w * (1 / 1680 - w * (1 / 1188 - w * (691 / 360360)))))) / z
    product = x * (x + 1) * (x + 2) * (x + 3) * (x + 4) * (x + 5)
    return np.asarray((z - 0.5) * np.log(z) - z + 0.5 * math.log(2 * math.pi) + series - np.log(product))
