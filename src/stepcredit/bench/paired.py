"""The metrics of `bench.metrics` as functions of how often each prompt is drawn, so that a thousand bootstrap draws
over prompts, the same for every method, cost next to nothing.

A metric is computed once, as sums over prompts or over pairs of prompts; then `at(weight)` is its value for any
weights [B, P], one row per draw. Where every weight is 1 it equals `bench.metrics`; weight 0 leaves a prompt out.

    weight = weights(prompts, draws=1000, seed=0)
    a, b = rho(ours, truth, prompt, prompts), rho(theirs, truth, prompt, prompts)
    low, high = interval((a.at(weight) - b.at(weight))[1:])

NaN credit means not judged: the row is left out and counted in `unjudged`. NaN truth means not known: the row is left
out and not counted. Infinite credit is an error.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stepcredit.bench.counting import identify, size_of, wins
from stepcredit.bench.counting import sums as sums_of
from stepcredit.data.layout import Bools, Floats, Ints
from stepcredit.errors import StepCreditError
from stepcredit.ops import cells, ranks

_TINY = 1e-12  # of the spread of all rows: less is rounding


class Paired(NamedTuple):
    """A metric: `at` maps weights [B, P] to values [B], NaN where nothing could be compared.

    n: (good, bad) pairs that it rests on for `same`, `pooled`, `strat`; rows for the others.
    """

    at: Callable[[Floats], Floats]
    n: float
    unjudged: int


def weights(prompts: int, draws: int, seed: int) -> Floats:
    """[1 + draws, P] how often each prompt counts: once, then as drawn with replacement."""
    drawn = np.random.default_rng(seed).multinomial(prompts, np.full(prompts, 1 / prompts), size=draws)
    return np.concatenate((np.ones((1, prompts)), drawn.astype(np.float64)))


def interval(values: Floats, level: float = 0.9) -> list[float]:
    """Percentile interval [low, high] of bootstrap values; those that are NaN are left out."""
    kept = values[~np.isnan(values)]
    if not kept.size:
        return [np.nan, np.nan]
    return [float(x) for x in np.quantile(kept, [(1 - level) / 2, (1 + level) / 2])]


def same(credit: Floats, good: Bools, state: Ints, prompt: Ints, prompts: int) -> Paired:
    """`metrics.same`: the mean over prompts of the pairs won in equal states.

        sum_p w_p v_p / sum_p w_p   over prompts with such pairs, v_p = pairs of p won / pairs of p

    Args:
        credit: [S] credit, NaN where not judged.
        good: [S] bool.
        state: [S] ids.
        prompt: [S] ids 0..prompts - 1.
    """
    kept, unjudged = _judged(credit)
    c, g, p = credit[kept], good[kept], prompt[kept]
    cell = cells(p, state[kept])
    cell_prompt = np.zeros(size_of(cell), np.int64)
    cell_prompt[cell] = p
    won, pairs = (sums_of(cell_prompt, x, prompts) for x in wins(c, g, cell, np.ones(c.size)))
    has = pairs > 0
    value = np.divide(won, pairs, out=np.zeros(prompts), where=has)
    return Paired(lambda weight: _ratio(weight @ value, weight @ has.astype(np.float64)), float(pairs.sum()), unjudged)


def pooled(credit: Floats, good: Bools, prompt: Ints, prompts: int) -> Paired:
    """`metrics.pooled`; arguments as in `strat`."""
    return strat(credit, good, np.zeros(prompt.size, np.int64), prompt, prompts)


def strat(credit: Floats, good: Bools, depth: Ints, prompt: Ints, prompts: int) -> Paired:
    """`metrics.strat`: pairs at the same depth, whatever their prompts.

        w' W w / w' C w   W[p, q]: pairs (good of p, bad of q) won, ties half; C[p, q]: such pairs

    Args:
        credit: [S] credit, NaN where not judged.
        good: [S] bool.
        depth: [S] ids; only rows with equal ids are compared.
        prompt: [S] ids 0..prompts - 1.
    """
    kept, unjudged = _judged(credit)
    c, g, p, at = credit[kept], good[kept], prompt[kept], identify(depth[kept])
    won, pairs = np.zeros((2, prompts, prompts))
    for d in range(size_of(at)):
        rows = at == d
        goods, bads = (_counts(identify(c[rows]), p[rows], x, prompts) for x in (g[rows], ~g[rows]))
        below = np.cumsum(bads, axis=0) - bads / 2
        won += goods.T @ below
        pairs += np.outer(goods.sum(0), bads.sum(0))

    def at_weights(weight: Floats) -> Floats:
        return _ratio(((weight @ won) * weight).sum(1), ((weight @ pairs) * weight).sum(1))

    return Paired(at_weights, float(pairs.sum()), unjudged)


def rho(credit: Floats, truth: Floats, prompt: Ints, prompts: int) -> Paired:
    """`metrics.rho`, with the ranks of the whole sample frozen: a draw weighs the rows but does not rank them anew.

    So at other weights than 1 it is the correlation of the ranks that the rows have in the sample, from each prompt's
    sums of x, y, xx, yy, xy.

    Args:
        credit: [S] credit, NaN where not judged.
        truth: [S] true advantage, NaN where not known.
        prompt: [S] ids 0..prompts - 1.
    """
    known = ~np.isnan(truth)
    kept, unjudged = _judged(credit[known])
    c, t, p = credit[known][kept], truth[known][kept], prompt[known][kept]
    x, y = ranks(c), ranks(t)
    x, y = x - x.mean() if x.size else x, y - y.mean() if y.size else y
    sums = np.stack([sums_of(p, z, prompts) for z in (np.ones(p.size), x, y, x * x, y * y, x * y)], axis=1)

    def at_weights(weight: Floats) -> Floats:
        n, sx, sy, xx, yy, xy = (weight @ sums).T
        n = np.maximum(n, 1)
        vx, vy, cov = xx / n - (sx / n) ** 2, yy / n - (sy / n) ** 2, xy / n - sx * sy / n**2
        flat = (vx <= _TINY * (x @ x)) | (vy <= _TINY * (y @ y))
        return np.where(flat, np.nan, np.clip(cov / np.sqrt(np.where(flat, 1, vx * vy)), -1, 1))

    return Paired(at_weights, float(p.size), unjudged)


def scaled_error(credit: Floats, truth: Floats, prompt: Ints, prompts: int) -> Paired:
    """Squared error after the best scaling, over the mean square of the truth: 0 is perfect, 1 as good as saying 0.

        min over b >= 0 of sum (t - b c)^2 / sum t^2  =  1 - max(sum c t, 0)^2 / (sum c c  sum t t)

    Each draw scales anew. A sign is not a scale: credit of the wrong sign gets 1. Arguments as in `rho`.
    """
    known = ~np.isnan(truth)
    kept, unjudged = _judged(credit[known])
    c, t, p = credit[known][kept], truth[known][kept], prompt[known][kept]
    c = c / max(np.abs(c).max(initial=0), np.finfo(float).tiny)
    sums = np.stack([sums_of(p, z, prompts) for z in (c * c, t * t, c * t)], axis=1)

    def at_weights(weight: Floats) -> Floats:
        cc, tt, ct = (weight @ sums).T
        return 1 - _ratio(np.maximum(ct, 0) ** 2, np.where(cc > 0, cc, 1) * tt)

    return Paired(at_weights, float(p.size), unjudged)


def _judged(credit: Floats) -> tuple[Bools, int]:
    if np.isinf(credit).any():
        raise StepCreditError("credit is infinite", hint="NaN means not judged; infinity is a fault of the method")
    kept = ~np.isnan(credit)
    return kept, int(np.sum(~kept))


def _counts(row: Ints, prompt: Ints, of: Bools, prompts: int) -> Floats:
    """[rows, P] how many are `of` the kind."""
    at = row[of] * prompts + prompt[of]
    return sums_of(at, np.ones(at.size), size_of(row) * prompts).reshape(-1, prompts)


def _ratio(won: NDArray[Any], of: NDArray[Any]) -> Floats:
    ratio: Floats = np.divide(won, of, out=np.full(won.shape, np.nan), where=of > 0)
    return ratio
