"""Chances of success estimated from samples."""

import numpy as np
from numpy.typing import ArrayLike

from stepcredit.data.layout import Floats, Ints


def pass_at_k(passed: ArrayLike, group: Ints, k: int) -> Floats:
    """[G] chance that at least one of k samples of a task passes, estimated without bias from n samples, c of which
    pass.

        1 - C(n - c, k) / C(n, k)

    Args:
        passed: [R] 1 or True where the sample passes, 0 where it does not, NaN: unknown, left out of n. "Passes" is
            the caller's: a right answer, or, for the verified kind, a right answer that is also judged sound.
        group: [R] task of each sample.
        k: how many are drawn.

    Returns:
        NaN for a task of fewer than k known samples.

    Source: Chen et al., arXiv:2107.03374; the verified kind, arXiv:2510.07774.

    >>> right, sound = np.array([1, 1, 1, 1, 0, 0, 0, 0]), np.array([0, 1, 0, 0, 1, 1, 1, 1])
    >>> pass_at_k(right, np.zeros(8, int), 2).round(4), pass_at_k(right & sound, np.zeros(8, int), 2).round(4)
    (array([0.7857]), array([0.25]))
    """
    one = np.asarray(passed, float)
    known = ~np.isnan(one)
    size = int(group.max(initial=-1)) + 1
    n = np.bincount(group[known], minlength=size)
    c = np.bincount(group[known], weights=one[known], minlength=size)
    drawn = np.arange(k)
    # One factor per draw: the chance that the i-th does not pass given that none before it did.
    left = np.maximum(n[:, None] - c[:, None] - drawn, 0.0) / np.maximum(n[:, None] - drawn, 1)
    return np.where(n >= k, 1 - left.prod(axis=1), np.nan)
