"""Credit beside exact truth, one number per world, and what is said of many worlds."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stepcredit.bench import metrics
from stepcredit.bench.suites import _exact
from stepcredit.bench.suites._exact import Draws
from stepcredit.data.layout import Bools, Floats, Ints
from stepcredit.envs.tabular import World

ZERO = 1e-9
Z = 1.6448536269514722  # 90% of a normal distribution lie within Z standard deviations


class Mean(NamedTuple):
    """Mean over worlds, its 90% interval, its standard error squared; worlds used, worlds left out (undefined)."""

    value: float
    low: float
    high: float
    variance: float
    n: int
    undefined: int

    @property
    def interval(self) -> list[float]:
        return [self.low, self.high]


def mean(values: Sequence[float] | Floats) -> Mean:
    """Mean of the worlds' numbers, NaN left out, with Student's interval: mean +- t s / sqrt(n).

    t of n - 1 degrees is the series in 1 / (n - 1): 1% off at 5 worlds.

    >>> [round(x, 2) for x in mean([1.0, 2.0, 3.0, 4.0, float("nan")])[:3]]
    [2.5, 1.01, 3.99]
    """
    all_, kept = np.asarray(values, float), _kept(values)
    if kept.size < 2:
        return Mean(
            float(kept.mean()) if kept.size else np.nan, np.nan, np.nan, np.nan, kept.size, all_.size - kept.size
        )
    free = kept.size - 1
    t = Z + (Z**3 + Z) / (4 * free) + (5 * Z**5 + 16 * Z**3 + 3 * Z) / (96 * free**2)
    variance = float(kept.var(ddof=1) / kept.size)
    middle, half = float(kept.mean()), t * variance**0.5
    return Mean(middle, middle - half, middle + half, variance, kept.size, all_.size - kept.size)


def mean_of_means(means: Sequence[Mean]) -> Mean:
    """The mean over settings, whose worlds are drawn apart, so that variances add up; settings where fewer than two
    worlds are defined are left out."""
    some = [m for m in means if m.n > 1]
    if not some:
        return Mean(np.nan, np.nan, np.nan, np.nan, 0, len(means))
    value = float(np.mean([m.value for m in some]))
    variance = float(np.sum([m.variance for m in some])) / len(some) ** 2
    half = Z * variance**0.5
    return Mean(value, value - half, value + half, variance, len(some), len(means) - len(some))


def correlations(draws: Draws, credit: Floats, worlds: int) -> dict[str, Floats]:
    """[D, W] per draw and world: pearson, spearman, sign with the exact advantage; same (bench.metrics)."""
    out = np.full((4, draws.bounds.size - 1), np.nan)
    state = np.concatenate([batch["state"] for batch in draws.batches])
    for i, (start, end) in enumerate(zip(draws.bounds[:-1].tolist(), draws.bounds[1:].tolist(), strict=True)):
        c, truth = credit[start:end], draws.truth[start:end]
        rows = start + np.flatnonzero(draws.decision[start:end])
        out[0, i] = metrics.pearson(c, truth).value
        out[1, i] = metrics.rho(c, truth).value
        out[2, i] = metrics.sign_agreement(c, truth).value
        out[3, i] = metrics.same(credit[rows], draws.good[rows], state[rows], np.zeros(rows.size)).value
    names = ("pearson", "spearman", "sign", "same")
    return {name: x.reshape(-1, worlds) for name, x in zip(names, out, strict=True)}


def errors(draws: Draws, credit: Floats, squares: Floats) -> dict[str, Floats]:
    """[W] squared error as shares of the truth's own mean square, and what it is made of.

    With x = (t, s, a) a kind of step of a world, mu(x) = d_t(s) pi(a|s) how often a rollout takes it, c credit, A(x)
    exact advantage, and M = mean over worlds of sum_x mu(x) A(x)^2 (exact):

        nmse     = E[sum over a rollout's steps of (c - A)^2] / M
        bias     = sum_x mu(x) (E[c|x] - A(x))^2 / M
        variance = sum_x mu(x) Var[c|x] / M = nmse - bias
        mse      = nmse of beta c, beta >= 0 the best for all worlds and draws together: credit in its own units

    E[c|x] is over draws and visits, E[c|x] = A(x) + E[d(x)] / (n mu(x)), d(x) the sum of c - A over the draw's visits.
    Its square is estimated without bias by products of different draws, so with a few draws it may fall below 0:

        (E[d(x)])^2  ~  ((sum_k d_k(x))^2 - sum_k d_k(x)^2) / (D (D - 1))

    bias and variance are NaN with one draw; all are where the world holds a step that is not judged.

    Args:
        squares: [W] exact sum_x mu(x) A(x)^2 of each world.
    """
    size, count = squares.size, len(draws.batches)
    whole = count * draws.n * squares.mean()
    off = credit - draws.truth
    total = (credit * credit)[~np.isnan(credit)].sum()
    beta = max(float(np.nansum(credit * draws.truth) / total), 0.0) if total > 0 else 0.0

    def per_world(x: Floats) -> Floats:
        return np.asarray(np.bincount(draws.world, x, minlength=size), float)

    nmse = per_world(off**2) / whole
    bias = np.full(size, np.nan)
    if count > 1:
        kinds = int(draws.kind.max()) + 1
        d = np.bincount(draws.draw * kinds + draws.kind, off, minlength=count * kinds).reshape(count, kinds)
        products = (d.sum(0) ** 2 - (d**2).sum(0)) / (count * (count - 1))
        world, often = np.zeros(kinds, np.int64), np.ones(kinds)
        world[draws.kind], often[draws.kind] = draws.world, draws.n * draws.weight
        bias = np.bincount(world, products / often, minlength=size) / (draws.n * squares.mean())
    mse = per_world((beta * credit - draws.truth) ** 2) / whole
    return {"mse": mse, "nmse": nmse, "bias": bias, "variance": nmse - bias}


def cosine(worlds: Sequence[World], draws: Draws, credit: Floats, exact: Sequence[Floats]) -> Floats:
    """[D, W] cosine of the policy gradient that credit stands for (`estimated`) and the exact one."""
    found = _exact.estimated(worlds, draws, credit)
    return np.array([[_cosine(a, b) for a, b in zip(one, exact, strict=True)] for one in found])


def pooled(draws: Draws, credit: Floats, worlds: int) -> Floats:
    """[D, W] AUROC over the decision points of all worlds of a draw (metrics.pooled), as one number per world: their
    mean is the AUROC and their spread that of its jackknife. NaN for a world without decision points.

        theta + (W - 1) (mean over w of theta_without_w - theta_without_w)
    """
    out = np.full((len(draws.batches), worlds), np.nan)
    kept = draws.decision & ~np.isnan(credit)
    for k in range(len(draws.batches)):
        rows = kept & (draws.draw == k)
        here = np.unique(draws.world[rows])
        without = _without_each(credit[rows], draws.good[rows], np.searchsorted(here, draws.world[rows]), here.size)
        theta = metrics.auroc(credit[rows], draws.good[rows]).value
        out[k, here] = theta + (here.size - 1) * (without.mean() - without) if here.size else np.nan
    return out


def coverage(draws: Draws, credit: Floats, sd: Floats, worlds: int) -> dict[str, Floats]:
    """[W] over all draws: share of steps whose advantage lies within 1.645 sd of the credit, the same over those of
    nonzero advantage, and the mean width of these 90% intervals."""
    judged = ~np.isnan(credit) & ~np.isnan(sd)
    inside = np.abs(credit - draws.truth) <= Z * sd + ZERO

    def share(x: Floats | Bools, rows: Bools) -> Floats:
        count = np.bincount(draws.world[rows], minlength=worlds)
        total = np.bincount(draws.world[rows], x[rows].astype(float), minlength=worlds)
        return _ratio(total, count)

    real = judged & (np.abs(draws.truth) > ZERO)
    return {
        "coverage": share(inside, judged),
        "coverage_nonzero": share(inside, real),
        "width": share(2 * Z * sd, judged),
    }


def over_draws(x: Floats) -> Floats:
    """[D, W] -> [W] mean over the draws where it is defined."""
    some = ~np.isnan(x)
    count = some.sum(0)
    return _ratio(np.where(some, x, 0).sum(0), count)


def _kept(values: Sequence[float] | Floats) -> Floats:
    x: Floats = np.asarray(values, float)
    return np.asarray(x[~np.isnan(x)])


def _ratio(x: NDArray[Any], of: NDArray[Any]) -> Floats:
    """x / of, NaN where there is nothing to divide by."""
    out: Floats = np.divide(x, of, out=np.full(x.shape, np.nan), where=of > 0)
    return out


def _cosine(a: Floats, b: Floats) -> float:
    size = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float((a * b).sum()) / size if size > ZERO**2 else float("nan")


def _without_each(credit: Floats, good: Bools, world: Ints, worlds: int) -> Floats:
    """[W] AUROC without the rows of each world; NaN where no pair is left."""
    g, b, of_g, of_b = credit[good], credit[~good], world[good], world[~good]
    won = _above(g, b)
    lost = np.bincount(of_b, g.size - _above(b, g), minlength=worlds)
    own = [_above(g[of_g == w], b[of_b == w]).sum() for w in range(worlds)]
    left = won.sum() - np.bincount(of_g, won, minlength=worlds) - lost + own
    pairs = (g.size - np.bincount(of_g, minlength=worlds)) * (b.size - np.bincount(of_b, minlength=worlds))
    return _ratio(left, pairs)


def _above(x: Floats, y: Floats) -> Floats:
    """[x] how many of y are below each x, ties half."""
    y = np.sort(y)
    return (np.searchsorted(y, x) + np.searchsorted(y, x, side="right")) / 2
