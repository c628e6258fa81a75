"""How right is credit? Credit of steps against truth about them, with intervals over prompts.

Rows are the steps to be judged, as flat arrays [S]; for `same`, `pooled` and `strat` pass the decision points only
(steps taken where success could still be reached), `good` where it still could be afterwards.
Ids (`prompt`, `state`, `depth`) are any arrays that compare equal where the things are equal.

NaN credit means not judged: the row is left out and counted in `Score.unjudged`. NaN truth means not known: the row
is left out and not counted. Infinite credit is an error. `weight` says how often each row counts, so that a bootstrap
over prompts needs no copies; None counts each row once.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stepcredit.bench.counting import identify, size_of, sums, wins
from stepcredit.data.layout import Bools, Floats
from stepcredit.errors import LayoutError, StepCreditError
from stepcredit.ops import cells, correlation, ranks

Ids: TypeAlias = NDArray[Any]


class Score(NamedTuple):
    """A metric's value (NaN if nothing could be compared), what it rests on, and how many rows were not judged.

    n: (good, bad) pairs for `auroc`, `pooled`, `strat` and `same`; rows for the others.
    """

    value: float
    n: float
    unjudged: int


class Interval(NamedTuple):
    """A statistic of all prompts and its bootstrap interval; `undefined` of the draws gave NaN and were left out."""

    value: float
    low: float
    high: float
    undefined: int


def auroc(credit: ArrayLike, good: ArrayLike, *, weight: ArrayLike | None = None) -> Score:
    """How often a good step has more credit than a bad one, over all pairs of rows.

        (sum over good g, bad b of [c_g > c_b] + [c_g = c_b] / 2) / (number of pairs)

    Args:
        credit: [S] credit, NaN where not judged.
        good: [S] bool.
        weight: [S] how often each row counts.

    >>> auroc([0.3, 0.1, 0.3, float("nan")], [True, False, False, True])
    Score(value=0.75, n=2.0, unjudged=1)
    """
    return strat(credit, good, np.zeros(np.shape(credit), np.int64), weight=weight)


def pooled(credit: ArrayLike, good: ArrayLike, *, weight: ArrayLike | None = None) -> Score:
    """`auroc` over all decision points of all prompts.

    Read it beside `pooled(per_depth(good, depth), good)`: much of it can be depth.
    """
    return auroc(credit, good, weight=weight)


def strat(credit: ArrayLike, good: ArrayLike, depth: ArrayLike, *, weight: ArrayLike | None = None) -> Score:
    """`auroc` over the pairs of rows at the same depth: all such pairs count alike.

    Args:
        credit: [S] credit, NaN where not judged.
        good: [S] bool.
        depth: [S] ids; only rows with equal ids are compared.
        weight: [S] how often each row counts.
    """
    rows = _rows(credit, weight, good=good, depth=depth)
    won, pairs = wins(rows.credit, _bool(rows.columns["good"]), identify(rows.columns["depth"]), rows.weight)
    return Score(_ratio(won.sum(), pairs.sum()), float(pairs.sum()), rows.unjudged)


def same(
    credit: ArrayLike, good: ArrayLike, state: ArrayLike, prompt: ArrayLike, *, weight: ArrayLike | None = None
) -> Score:
    """Whether credit ranks siblings: AUROC over pairs of one prompt in the same state, averaged over prompts.

        mean over prompts p with pairs of  (pairs of p in equal states won, ties half) / (such pairs of p)

    Neither depth nor the difficulty of prompts can help.

    Args:
        credit: [S] credit, NaN where not judged.
        good: [S] bool.
        state: [S] ids; equal ids in different prompts are different states.
        prompt: [S] ids.
        weight: [S] how often the row's prompt counts in the mean; one number per prompt.

    Raises:
        LayoutError: `weight` differs inside a prompt.
    """
    rows = _rows(credit, weight, good=good, state=state, prompt=prompt)
    of = identify(rows.columns["prompt"])
    times = np.zeros(size_of(of))
    times[of] = rows.weight
    if np.any(times[of] != rows.weight):
        raise LayoutError("same: weight differs inside a prompt", hint="a prompt is drawn as a whole")
    cell = cells(of, identify(rows.columns["state"]))
    cell_prompt = np.zeros(size_of(cell), np.int64)
    cell_prompt[cell] = of
    won, pairs = wins(rows.credit, _bool(rows.columns["good"]), cell, np.ones(cell.size))
    won, pairs = (sums(cell_prompt, x, times.size) for x in (won, pairs))
    has = pairs > 0
    value = _ratio((times[has] * won[has] / pairs[has]).sum(), times[has].sum())
    return Score(value, float((times * pairs).sum()), rows.unjudged)


def rho(credit: ArrayLike, truth: ArrayLike, *, weight: ArrayLike | None = None) -> Score:
    """Spearman correlation of credit and true advantage: Pearson's of their ranks, ties at the mean rank.

    Args:
        credit: [S] credit, NaN where not judged.
        truth: [S] true advantage, NaN where not known.
        weight: [S] how often each row counts.

    >>> round(rho([1.0, 2.0, 4.0], [0.0, 1.0, 9.0]).value, 12)
    1.0
    """
    rows = _rows(credit, weight, truth=truth)
    x, y = (ranks(z, rows.weight) for z in (rows.credit, rows.columns["truth"]))
    return Score(correlation(x, y, rows.weight), float(rows.weight.sum()), rows.unjudged)


def pearson(credit: ArrayLike, truth: ArrayLike, *, weight: ArrayLike | None = None) -> Score:
    """Pearson correlation of credit and true advantage; NaN where either is constant. Arguments as in `rho`."""
    rows = _rows(credit, weight, truth=truth)
    value = correlation(rows.credit, rows.columns["truth"], rows.weight)
    return Score(value, float(rows.weight.sum()), rows.unjudged)


def sign_agreement(credit: ArrayLike, truth: ArrayLike, *, weight: ArrayLike | None = None) -> Score:
    """Share of steps of nonzero true advantage whose credit has its sign; credit 0 is half right.

        mean over rows with t != 0 of (1 + sign(c) sign(t)) / 2

    Arguments as in `rho`.

    >>> sign_agreement([0.2, -0.1, 0.0, 5.0], [1.0, 1.0, -1.0, 0.0])
    Score(value=0.5, n=3.0, unjudged=0)
    """
    rows = _rows(credit, weight, truth=truth)
    sign = np.sign(rows.columns["truth"])
    weight_there = rows.weight * (sign != 0)
    agrees = (1 + np.sign(rows.credit) * sign) / 2
    return Score(_ratio((weight_there * agrees).sum(), weight_there.sum()), float(weight_there.sum()), rows.unjudged)


def per_depth(good: ArrayLike, depth: ArrayLike) -> Floats:
    """[S] the share of good steps at the row's depth: the constant per depth that `pooled` is to be read beside.

    >>> per_depth([True, False, True], [0, 0, 1])
    array([0.5, 0.5, 1. ])
    """
    at = identify(np.asarray(depth))
    mean: Floats = np.bincount(at, _bool(np.asarray(good))) / np.bincount(at)
    return mean[at]


def bootstrap(
    statistic: Callable[[Floats], float], prompt: ArrayLike, *, draws: int = 1000, level: float = 0.95, seed: int = 0
) -> Interval:
    """Percentile interval of a statistic when prompts are drawn again with replacement.

    One draw gives every row of a prompt the number of times that the prompt was drawn. For a paired difference let the
    statistic subtract: both methods then see the same draws.

        bootstrap(lambda w: rho(a, truth, weight=w).value - rho(b, truth, weight=w).value, prompt)

    Args:
        statistic: [S] weights -> a number; NaN where undefined.
        prompt: [S] ids.
        draws: number of draws.
        level: coverage, in (0, 1).
        seed: equal seeds give equal draws.

    Raises:
        StepCreditError: no rows, draws below 1 or level outside (0, 1).
    """
    if draws < 1 or not 0 < level < 1:
        raise StepCreditError(f"bootstrap: got draws={draws}, level={level}, expected draws >= 1 and 0 < level < 1")
    of = identify(np.asarray(prompt))
    size = size_of(of)
    if size == 0:
        raise StepCreditError("bootstrap: no rows, so no prompts to draw")
    rng = np.random.default_rng(seed)
    chance = np.full(size, 1 / size)
    values = np.array([statistic(rng.multinomial(size, chance)[of].astype(np.float64)) for _ in range(draws)])
    kept = values[~np.isnan(values)]
    low, high = np.quantile(kept, [(1 - level) / 2, (1 + level) / 2]) if kept.size else (np.nan, np.nan)
    return Interval(statistic(np.ones(of.size)), float(low), float(high), draws - kept.size)


class _Rows(NamedTuple):
    credit: Floats
    weight: Floats
    columns: dict[str, Ids]
    unjudged: int


def _rows(credit: ArrayLike, weight: ArrayLike | None, **columns: ArrayLike) -> _Rows:
    """The rows that count: judged, truth known, weight above 0. Unjudged rows are counted where all else is there."""
    given = np.asarray(credit, np.float64)
    times = np.ones(given.shape) if weight is None else np.asarray(weight, np.float64)
    arrays = {name: np.asarray(column) for name, column in columns.items()}
    for name, array in {"credit": given, "weight": times, **arrays}.items():
        if array.ndim != 1 or array.shape != given.shape:
            raise LayoutError(f"{name}: got shape {array.shape}, expected one entry per step like credit {given.shape}")
    if np.isinf(given).any():
        raise StepCreditError("credit is infinite", hint="NaN means not judged; infinity is a fault of the method")
    if not (np.isfinite(times) & (times >= 0)).all():
        raise StepCreditError("weight is negative or not finite", hint="it counts how often a row was drawn")
    there = times > 0
    if "truth" in arrays:
        arrays["truth"] = arrays["truth"].astype(np.float64)
        if np.isinf(arrays["truth"]).any():
            raise StepCreditError("truth is infinite")
        there &= ~np.isnan(arrays["truth"])
    judged = there & ~np.isnan(given)
    kept = {name: array[judged] for name, array in arrays.items()}
    return _Rows(given[judged], times[judged], kept, int(there.sum() - judged.sum()))


def _bool(good: Ids) -> Bools:
    if good.dtype != np.bool_:
        raise LayoutError(f"good: got dtype {good.dtype}, expected bool", hint="pass rows whose truth is known")
    return good


def _ratio(won: float, of: float) -> float:
    return float(won / of) if of > 0 else float("nan")
