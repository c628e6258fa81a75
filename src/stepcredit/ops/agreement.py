"""Agreement of two raters beyond chance."""

import numpy as np
from numpy.typing import NDArray

from stepcredit.data.layout import Floats


def kappa(table: NDArray[np.float64]) -> Floats:
    """[D] Cohen's kappa of tables of counts [D, k, k]; NaN where chance alone agrees fully.

        kappa = (p_o - p_e) / (1 - p_e),    p_e = sum_k p_a(k) p_b(k)

    >>> kappa(np.array([[[20.0, 5.0], [10.0, 15.0]]]))
    array([0.4])
    """
    total = table.sum((1, 2))
    share = np.divide(table, total[:, None, None], out=np.zeros_like(table), where=total[:, None, None] > 0)
    same = np.trace(share, axis1=1, axis2=2)
    chance = np.einsum("dk,dk->d", share.sum(2), share.sum(1))
    out = np.full(total.size, np.nan)
    np.divide(same - chance, 1 - chance, out=out, where=(total > 0) & (chance < 1 - 1e-12))
    return out
