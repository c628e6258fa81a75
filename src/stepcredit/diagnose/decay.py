"""How runs go wrong with length: accuracy by position, hazard of the first error, horizon."""

import numpy as np
from numpy.typing import ArrayLike

from stepcredit.data.layout import Floats
from stepcredit.errors import LayoutError, StepCreditError


def prefix_accuracy(right: ArrayLike) -> Floats:
    """[T] share of the runs whose steps are all right up to each position.

    Args:
        right: [R, T] 1 right, 0 wrong; NaN from the end of a run on, which leaves it out there.

    >>> prefix_accuracy([[1, 1, 0], [1, 0, 1]])
    array([1. , 0.5, 0. ])
    """
    x = _two(right)
    return _mean(np.where(np.isnan(x), np.nan, np.cumprod(np.where(np.isnan(x), 1.0, x), axis=1)))


def local_accuracy(answer: ArrayLike, change: ArrayLike) -> Floats:
    """[T] share of the runs whose answer follows from their own answer before: y_t = y_{t-1} + d_t, y_{-1} = 0.

    It leaves inherited errors out.

    Args:
        answer: [R, T] y; NaN: none (the position is left out, and the one after it). change: [R, T] or [T] d.

    >>> local_accuracy([[3, 2, 7]], [3, -2, 5])
    array([1., 0., 1.])
    """
    y = _two(answer)
    before = np.concatenate((np.zeros((y.shape[0], 1)), y[:, :-1]), axis=1)
    due = before + np.broadcast_to(np.asarray(change, float), y.shape)
    return _mean(np.where(np.isnan(y) | np.isnan(due), np.nan, y == due))


def horizon_length(p: ArrayLike, s: float = 0.5) -> Floats:
    """Number of steps after which a run of constant step accuracy p that never corrects itself is right with chance s.

        H = ln s / ln p,  from p^H = s

    0 for p = 0, infinite for p = 1.

    Raises:
        StepCreditError: p outside 0..1, s not between 0 and 1.

    >>> horizon_length([0.9, 0.99, 0.999]).round(2)
    array([  6.58,  68.97, 692.8 ])
    """
    x = np.asarray(p, float)
    if not 0 < s < 1 or np.any((x < 0) | (x > 1)):
        raise StepCreditError(f"horizon_length: got p={x.tolist()}, s={s}; expected p in [0, 1] and s between 0 and 1")
    with np.errstate(divide="ignore"):
        return np.asarray(abs(np.log(s)) / np.abs(np.log(x)))


def step_accuracy(length: ArrayLike, success: ArrayLike) -> float:
    """The p that fits outcomes best if every step is right with chance p and a run succeeds where all are.

        argmax_p  sum_i y_i n_i ln p + (1 - y_i) ln(1 - p^n_i),  with one run of the mean length that half succeeded

    Args:
        length: [R] steps n. success: [R] y in 0..1; NaN: left out.

    >>> round(step_accuracy([10, 10], [1.0, 0.0]), 3) == round(0.5**0.1, 3)
    True
    """
    n, y = np.asarray(length, float), np.asarray(success, float)
    kept = ~np.isnan(y) & (n > 0)
    if not kept.any():
        return float("nan")
    n, y = np.append(n[kept], n[kept].mean()), np.append(y[kept], 0.5)
    low, high = -40.0, 40.0  # of ln(1 - p) - ln p
    for _ in range(100):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        log_p = -np.logaddexp(0.0, middle)
        pull = np.sum(n * (y - (1 - y) * np.exp(n * log_p) / -np.expm1(n * log_p)))
        low, high = (low, middle) if pull > 0 else (middle, high)
    return float(np.exp(-np.logaddexp(0.0, (low + high) / 2)))


def hazard(first: ArrayLike, length: ArrayLike, *, prior: float = 1.0) -> Floats:
    """[T] chance that the first error is at each position, given that none was before.

        (errors there + prior h) / (runs right so far + prior),  h: all errors / all steps until then, + 1/2 over + 1

    Args:
        first: [R] position of the first error; -1: none. length: [R] steps. prior: runs that the mean h is worth.

    Raises:
        LayoutError: lengths that differ, or an error outside its run.

    >>> hazard([1, -1], [3, 3], prior=0.0)
    array([0. , 0.5, 0. ])
    """
    at, n = np.asarray(first, np.int64), np.asarray(length, np.int64)
    if at.shape != n.shape or at.ndim != 1 or np.any(at >= n) or np.any(at < -1):
        raise LayoutError("first and length must be [R], first errors inside their runs")
    size = int(n.max(initial=0))
    errors = np.bincount(at[at >= 0], minlength=size).astype(float)
    seen = np.where(at >= 0, at + 1, n)
    risk = (seen[:, None] > np.arange(size)).sum(axis=0)
    mean = (errors.sum() + 0.5) / (risk.sum() + 1)
    out = np.full(size, np.nan)
    np.divide(errors + prior * mean, risk + prior, out=out, where=risk + prior > 0)
    return out


def first_error_share(chance: ArrayLike) -> Floats:
    """[T] where the first error is, given that there is one, from the hazard of each position; sums to 1.

    >>> first_error_share([0.5, 0.5])
    array([0.66666667, 0.33333333])
    """
    h = np.asarray(chance, float)
    here = h * np.concatenate(([1.0], np.cumprod(1 - h)[:-1])) if h.size else h
    return here / here.sum() if here.sum() > 0 else np.full(h.size, 1 / max(h.size, 1))


def _two(x: ArrayLike) -> Floats:
    array = np.asarray(x, float)
    if array.ndim != 2:
        raise LayoutError(f"expected [runs, positions]; got shape {array.shape}")
    return array


def _mean(x: Floats) -> Floats:
    known = ~np.isnan(x)
    out = np.full(x.shape[1], np.nan)
    np.divide(np.where(known, x, 0.0).sum(axis=0), known.sum(axis=0), out=out, where=known.any(axis=0))
    return out
