"""Pairing rows with columns by similarity: greedily, at the largest total, or as a transport plan."""

from typing import Literal

import numpy as np

from stepcredit.data.layout import Floats, Ints
from stepcredit.plugins import extra

Assign = Literal["greedy", "hungarian", "transport"]


def greedy_pairs(similarity: Floats) -> Ints:
    """[n] column of each row, -1 = none: the most similar free pair first, ties by row, then by column; pairs without
    similarity are not made.

    >>> greedy_pairs(np.array([[0.9, 0.8], [0.8, 0.0]]))
    array([ 0, -1])
    """
    rows, columns = np.nonzero(similarity > 0)
    out = np.full(similarity.shape[0], -1)
    taken = np.zeros(similarity.shape[1], bool)
    for at in np.argsort(-similarity[rows, columns], kind="stable").tolist():
        if out[rows[at]] < 0 and not taken[columns[at]]:
            out[rows[at]] = columns[at]
            taken[columns[at]] = True
    return out


def best_pairs(similarity: Floats) -> Ints:
    """[n] column of each row, -1 = none, of the pairing with the largest total; pairs without similarity are not made.

    Raises:
        MissingExtra: scipy is not installed.
    """
    rows, columns = extra("scipy.optimize", "an optimal pairing", name="evidence").linear_sum_assignment(
        similarity, maximize=True
    )
    out = np.full(similarity.shape[0], -1)
    some = similarity[rows, columns] > 0
    out[rows[some]] = columns[some]
    return out


def transport(similarity: Floats, reg: float = 0.1, *, tolerance: float = 1e-12, most: int = 10_000) -> Floats:
    """[n, m] entropic transport plan (Sinkhorn) of equal masses 1/n to equal masses 1/m at cost -similarity.

        T_ij = exp((S_ij + f_i + g_j) / reg),  sum_j T_ij = 1/n,  sum_i T_ij = 1/m

    Scaled in the space of logarithms, so that a small `reg` does not overflow; until the rows' masses are right within
    `tolerance`, at most `most` times.
    """
    n, m = similarity.shape
    scaled = similarity / reg
    column = np.zeros(m)
    row = np.zeros(n)
    for _ in range(most):
        row = -np.log(n) - _logsumexp(scaled + column, axis=1)
        column = -np.log(m) - _logsumexp(scaled + row[:, None], axis=0)
        plan: Floats = np.exp(scaled + row[:, None] + column)
        if np.abs(plan.sum(axis=1) - 1 / n).max() < tolerance:
            break
    return plan


def _logsumexp(x: Floats, axis: int) -> Floats:
    top = x.max(axis=axis)
    out: Floats = top + np.log(np.exp(x - np.expand_dims(top, axis)).sum(axis=axis))
    return out
