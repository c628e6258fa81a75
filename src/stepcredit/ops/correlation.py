"""Ranks, and how far two columns agree."""

import numpy as np

from stepcredit.data.layout import Floats


def ranks(x: Floats, weight: Floats | None = None) -> Floats:
    """[n] ranks from 0, ties averaged; x holds no NaN.

    Args:
        weight: [n] how often each value counts; None: once.

    >>> ranks(np.array([5.0, 1.0, 5.0]))
    array([1.5, 0. , 1.5])
    """
    place = np.unique(x, return_inverse=True)[1]
    count = np.bincount(place, weights=weight)
    mean: Floats = np.cumsum(count) - (count + 1) / 2
    return mean[place]


def correlation(x: Floats, y: Floats, weight: Floats | None = None) -> float:
    """Pearson correlation of [n] and [n]; NaN where either is constant. Of ranks it is Spearman's.

    Args:
        weight: [n] how often each pair counts; None: once.

    >>> correlation(np.array([0.0, 1.0, 2.0]), np.array([5.0, 3.0, 1.0]))
    -1.0
    """
    if x.size == 0 or x.min() == x.max() or y.min() == y.max():
        return float("nan")
    weight = np.ones(x.size) if weight is None else weight
    total = weight.sum()
    dx, dy = x - (weight @ x) / total, y - (weight @ y) / total
    dx, dy = dx / np.abs(dx).max(), dy / np.abs(dy).max()  # squares of tiny numbers would be 0
    return float(np.clip((weight * dx) @ dy / np.sqrt(((weight * dx) @ dx) * ((weight * dy) @ dy)), -1, 1))
