"""Blend a noisy mean with a prior as far as the two agree: positive-part James-Stein."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from stepcredit.data.layout import Floats


class JamesStein(NamedTuple):
    """mean: the blend. weight: part of the estimate in it, 0 where nothing speaks against the prior. gap: estimated
    squared distance of the prior from the truth."""

    mean: Floats
    weight: Floats
    gap: Floats


def james_stein(x: Floats, toward: Floats | float, noise: Floats | float) -> JamesStein:
    """An estimate pulled toward a prior, the more the less the two differ beyond the estimate's noise.

        mean   = w x + (1 - w) toward
        w      = gap / (gap + noise)
        gap    = max(0, (x - toward)^2 - noise)

    w is what makes `blend_risk` least, were gap the true squared distance of the prior; gap > 0 is also a test of the
    prior: it fails where the estimate lies more than one standard error away.

    Args:
        x: [n] estimates; NaN = there is none, the prior stands alone (weight and gap 0).
        toward: [n] or a number, the priors; NaN = there is none, the estimate stands alone (weight 1, gap infinite).
        noise: [n] or a number >= 0, variance of each estimate: of a mean of k values, their variance (or a bound of
            it) over k; infinite for k = 0.

    >>> james_stein(np.array([-0.5, 1.0]), np.array([-0.2, -0.6]), 0.25).mean
    array([-0.2    ,  0.84375])
    """
    x, toward, noise = np.broadcast_arrays(*(np.asarray(a, float) for a in (x, toward, noise)))
    blind, lone = np.isnan(x) | np.isinf(noise), np.isnan(toward)
    apart = np.where(blind | lone, 0.0, x - toward)
    gap = np.where(blind, 0.0, np.where(lone, np.inf, np.maximum(apart * apart - noise, 0.0)))
    weight = _part(gap, noise)
    mean = np.where(weight == 1, x, toward + weight * apart)
    return JamesStein(mean, weight, gap)


def blend_risk(gap: ArrayLike, noise: ArrayLike) -> Floats:
    """Mean squared error of the best blend: gap noise / (gap + noise), below either alone.

    Args:
        gap: squared distance of the prior from the truth (`JamesStein.gap`). noise: variance of the estimate.

    >>> blend_risk(2.31, 1 / np.array([4, 5])).round(5)
    array([0.22559, 0.18406])
    """
    gap, noise = np.asarray(gap, float), np.asarray(noise, float)
    part = _part(gap, noise)
    risk: Floats = np.multiply(part, noise, out=np.zeros(part.shape), where=part > 0)
    return risk


def _part(gap: Floats, noise: Floats) -> Floats:
    """gap / (gap + noise), of infinite numbers the limit: 1 where gap is infinite."""
    share = np.zeros(np.broadcast(gap, noise).shape)
    np.divide(gap, gap + noise, out=share, where=np.isfinite(gap) & (gap > 0))
    share[np.broadcast_to(np.isinf(gap), share.shape)] = 1.0
    return share
