"""Compare a value with the others of its cell. Every reading of "normalized advantage" is an argument here."""

from typing import Literal

import numpy as np

from stepcredit.data.layout import Floats, Ints

Location = Literal["mean", "median", "others"]
Spread = Literal["sample", "population", "none", "others", "mad"]
EpsAt = Literal["spread", "variance"]
Lone = Literal["zero", "raw", "nan"]


def center(
    x: Floats,
    by: Ints | None = None,
    *,
    location: Location = "mean",
    spread: Spread = "sample",
    spread_by: Ints | None = None,
    eps: float = 1e-6,
    eps_at: EpsAt = "spread",
    floor: float = 0.0,
    lone: Lone = "zero",
    weight: Floats | Ints | None = None,
) -> Floats:
    """Each value minus the location of its cell, over the spread of its cell.

        y = (x - location) / (max(spread, floor) + eps)               eps_at "spread"
        y = (x - location) / max(sqrt(spread^2 + eps), floor)         eps_at "variance"
        y = x - location                                              where max(spread, floor) is 0

    Args:
        x: [n] values; NaN (of the value or its weight) is not judged: left out of the statistics, NaN in the result.
        by: [n] cell of each value, any integers >= 0; None: one cell.
        location: "mean"; "others", the mean of the other values of the cell; "median", the lower one.
        spread: "sample" (n - 1), "population" (n), "others" (the sample spread of the other values), "mad" (1.4826 x
            median distance from the cell's lower median), "none" (only center; eps and floor are unused).
        spread_by: [n] cells of the spread where they differ from those of the location.
        eps: added to the spread, or to the variance under the root.
        eps_at: which of the two.
        floor: smallest spread.
        lone: what a value gets that has no other to be compared with in its cell: "zero", "raw" (x / (1 + eps), as in
            verl), "nan" (not judged).
        weight: [n] how often each value counts (not for medians); weight 0 is compared but not counted.
            "others" leaves out all of a value's own weight.

    Returns:
        [n]. A cell of equal values gives exactly 0: values are shifted by one of their own before anything is
        averaged, so no rounding dust is divided by eps.

    >>> center(np.array([1.0, 0.0, 0.0, 1.0, 5.0]), np.array([0, 0, 0, 0, 1]), spread="none")
    array([ 0.5, -0.5, -0.5,  0.5,  0. ])
    """
    x = np.asarray(x, float)
    if x.size == 0:
        return np.zeros(0)
    by = np.zeros(x.size, np.int64) if by is None else by
    w = None if weight is None else np.asarray(weight, float)
    judged = ~np.isnan(x) if w is None else ~np.isnan(x + w)
    if not judged.all():
        out = np.full(x.size, np.nan)
        out[judged] = center(
            x[judged],
            by[judged],
            location=location,
            spread=spread,
            spread_by=None if spread_by is None else spread_by[judged],
            eps=eps,
            eps_at=eps_at,
            floor=floor,
            lone=lone,
            weight=None if w is None else w[judged],
        )
        return out

    count = np.bincount(by, weights=w)
    y = _deviation(x, by, w, count, location)
    if spread != "none":
        cells = by if spread_by is None else spread_by
        if spread == "others":
            width = _spread_of_others(x, cells, w)
        else:
            around = "median" if spread == "mad" else "mean"
            base = y if spread_by is None and location == around else None
            width = _spread(x, cells, w, spread, base)
        if eps_at == "variance":
            scale = np.maximum(np.sqrt(width * width + eps), floor)
        else:
            scale = np.maximum(width, floor) + eps
        # Not by eps alone: a value apart from a cell whose counted values are all equal would get 1e6 and more.
        np.divide(y, scale, out=y, where=np.maximum(width, floor) != 0)
    if lone != "zero" or w is not None:
        own = 1.0 if w is None else w
        alone = (count[by] == own) & (own <= 1)
        raw = x[alone] / (1 + (0.0 if spread == "none" else eps))
        y[alone] = 0.0 if lone == "zero" else raw if lone == "raw" else np.nan
    return y


def whiten(x: Floats, by: Ints | None = None, *, weight: Floats | Ints | None = None, eps: float = 1e-8) -> Floats:
    """(x - mean) / sqrt(sample variance + eps) over each cell: what trainers call masked whitening.

    Args:
        x: [n], NaN is not judged. by: [n] cells (usually the batch). weight: [n] how often a value counts.
    """
    return center(x, by, spread="sample", eps=eps, eps_at="variance", weight=weight)


def cell_mean(x: Floats, by: Ints, *, weight: Floats | Ints | None = None) -> Floats:
    """[n] -> [cells]: mean of each cell over its judged values; NaN for a cell without any."""
    x = np.asarray(x, float)
    w = np.ones(x.size) if weight is None else np.asarray(weight, float)
    judged = ~np.isnan(x)
    size = int(by.max()) + 1 if by.size else 0
    total = np.bincount(by, weights=np.where(judged, x * w, 0.0), minlength=size)
    count = np.bincount(by, weights=np.where(judged, w, 0.0), minlength=size)
    mean: Floats = np.divide(total, count, out=np.full(size, np.nan), where=count > 0)
    return mean


def unit_range(x: Floats, by: Ints) -> Floats:
    """[n] where each value stands between the least (0) and the largest (1) of its cell; 0 where all are equal.

    NaN is not judged: left out, NaN in the result.

    >>> unit_range(np.array([1.0, 3.0, 2.0, 5.0]), np.array([0, 0, 0, 1]))
    array([0. , 1. , 0.5, 0. ])
    """
    x = np.asarray(x, float)
    low, high = np.full((2, int(by.max()) + 1 if by.size else 0), np.nan)
    np.fmin.at(low, by, x)
    np.fmax.at(high, by, x)
    width = (high - low)[by]
    place: Floats = np.divide(x - low[by], width, out=0.0 * x, where=width > 0)
    return place


def cell_variance(x: Floats, by: Ints) -> Floats:
    """[n] -> [cells]: population variance of each cell over its judged values, exactly 0 where they are equal; NaN for
    a cell without any.

    >>> cell_variance(np.array([1.0, 0.0, 0.3]), np.array([0, 0, 1]))
    array([0.25, 0.  ])
    """
    away = center(x, by, spread="none")
    return cell_mean(away * away, by)


def log_mean_exp(x: Floats, by: Ints, temperature: float) -> Floats:
    """[n] -> [cells]: temperature * log(mean of exp(x / temperature)) over the judged values of each cell.

    It rises from the mean to the largest value as the temperature falls to 0. NaN for a cell without values.

    >>> log_mean_exp(np.array([0.0, 1.0]), np.array([0, 0]), 1.0).round(4)
    array([0.6201])
    """
    x = np.asarray(x, float)
    top = np.full(int(by.max()) + 1 if by.size else 0, -np.inf)
    judged = ~np.isnan(x)
    np.maximum.at(top, by[judged], x[judged])
    above = cell_mean(np.exp((x - top[by]) / temperature), by)
    return np.asarray(top + temperature * np.log(above))


def shrink(x: Floats, n: Floats | Ints, toward: Floats | float, strength: float) -> Floats:
    """(n x + strength toward) / (n + strength): a mean of n values pulled toward a prior worth `strength` values.

    A value with n = 0 is the prior itself, also where x is NaN.
    """
    x, n = np.asarray(x, float), np.asarray(n, float)
    total = np.where(n > 0, x, 0.0) * n + strength * np.asarray(toward, float)
    mean: Floats = np.divide(total, n + strength, out=np.full(total.shape, np.nan), where=n + strength > 0)
    return mean


def _first(x: Floats, by: Ints, w: Floats | None = None) -> Floats:
    """One value of each cell, per row: the shift that makes equal values exactly 0.

    A row of weight 0 lends its value only to a cell that has no other.
    """
    first = np.zeros(int(by.max()) + 1)
    first[by[::-1]] = x[::-1]
    if w is not None and not w.all():
        counted = np.flatnonzero(w)[::-1]
        first[by[counted]] = x[counted]
    return first[by]


def _deviation(x: Floats, by: Ints, w: Floats | None, count: Floats | Ints, location: Location) -> Floats:
    if location == "median":
        return x - _lower_median(x, by)[by]
    d = x - _first(x, by, w)
    total = np.bincount(by, weights=d if w is None else d * w)
    mean = np.divide(total, count, out=np.zeros_like(total), where=count > 0)
    d -= mean[by]
    if location == "others":
        own = 1.0 if w is None else w
        rest = count[by] - own
        d *= np.divide(count[by], rest, out=np.zeros_like(d), where=rest > 0)
    return d


def _spread(x: Floats, by: Ints, w: Floats | None, spread: Spread, d: Floats | None) -> Floats:
    """[n] spread of the cell of each value; `d` are deviations from the mean (median for "mad"), if they are known."""
    if spread == "mad":
        if d is None:
            d = x - _lower_median(x, by)[by]
        return 1.4826 * _lower_median(np.abs(d), by)[by]
    count = np.bincount(by, weights=w)
    if d is None:
        d = _deviation(x, by, w, count, "mean")
    squares = np.bincount(by, weights=d * d if w is None else d * d * w)
    ways = count - (1 if spread == "sample" else 0)
    variance = np.divide(squares, ways, out=np.zeros_like(squares), where=ways > 0)
    return np.sqrt(variance)[by]


def _spread_of_others(x: Floats, by: Ints, w: Floats | None) -> Floats:
    """[n] sample spread of the values of the cell other than this one."""
    count = np.bincount(by, weights=w)
    own = np.ones_like(x) if w is None else w
    d = _deviation(x, by, w, count, "mean")
    squares = np.bincount(by, weights=d * d * own)[by]
    rest = count[by] - own
    # Leaving one value out of n takes n / (n - 1) of its squared deviation out of the sum.
    without = squares - own * d * d * np.divide(count[by], rest, out=np.zeros_like(d), where=rest > 0)
    without[without < 1e-12 * squares] = 0.0
    return np.sqrt(np.divide(without, rest - 1, out=np.zeros_like(d), where=rest > 1))


def _lower_median(x: Floats, by: Ints) -> Floats:
    """[cells] the middle value; the lower of two."""
    count = np.bincount(by)
    order = np.argsort(x)
    # By cell, then by value: one sort of integers, a third of the time of lexsort.
    order = order[np.sort(by[order] * x.size + np.arange(x.size)) % x.size]
    start = np.concatenate(([0], np.cumsum(count)[:-1]))
    median = np.zeros(count.size)
    some = count > 0
    median[some] = x[order][start[some] + (count[some] - 1) // 2]
    return median
