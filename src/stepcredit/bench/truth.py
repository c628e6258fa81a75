"""Credit beside the truth, and beside baselines that know nothing of the steps."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from stepcredit.bench import metrics
from stepcredit.data.batch import Batch
from stepcredit.data.layout import Floats

DRAWS = 20


class Row(NamedTuple):
    """One credit against the truth: `same` with its interval, `pooled`, `strat`, `rho`, `pearson` (bench.metrics)."""

    name: str
    same: float
    low: float
    high: float
    pooled: float
    strat: float
    rho: float
    pearson: float


def against_truth(batch: Batch, credits: Mapping[str, Floats], *, level: float = 0.9, seed: int = 0) -> list[Row]:
    """Each credit, then a constant per depth (which sees the labels) and random numbers, on mixed tasks.

    Args:
        batch: with `outcome`, `state`, and the truth: `truth.decision`, `truth.good`, `truth.advantage` [S].
        credits: name -> [S].
        level: of the bootstrap interval over tasks; for random numbers the interval is that of the mean of several
            draws. Tasks whose rollouts all succeed or all fail are left out: group methods say nothing there. Where
            no task is mixed every number is NaN.
    """
    lay = batch.layout
    wins = np.bincount(lay.group, weights=batch["outcome"], minlength=lay.G)
    mixed = ((wins > 0) & (wins < np.bincount(lay.group, minlength=lay.G)))[lay.step_group]
    decisions = mixed & (batch["truth.decision"] > 0)
    good, task, depth = batch["truth.good"][decisions] > 0, lay.step_group[decisions], lay.turn[decisions]
    state, exact = batch["state"][decisions], batch["truth.advantage"]

    def row(name: str, credit: Floats, interval: bool = True) -> Row:
        c = credit[decisions]
        same: Callable[[Floats], float] = lambda weight: metrics.same(c, good, state, task, weight=weight).value  # noqa: E731
        bounds = metrics.bootstrap(same, task, draws=200, level=level, seed=seed) if interval and c.size else None
        return Row(
            name,
            same(np.ones(c.size)),
            bounds.low if bounds else np.nan,
            bounds.high if bounds else np.nan,
            metrics.pooled(c, good).value,
            metrics.strat(c, good, depth).value,
            metrics.rho(credit[mixed], exact[mixed]).value,
            metrics.pearson(credit[mixed], exact[mixed]).value,
        )

    constant = np.full(lay.S, np.nan)
    constant[decisions] = metrics.per_depth(good, depth)
    rng = np.random.default_rng(seed)
    noise = np.array([row("", rng.normal(size=lay.S), interval=False)[1:] for _ in range(DRAWS)])
    mean, error = noise.mean(0), 1.645 * noise[:, 0].std() / np.sqrt(DRAWS)
    random = Row("random", mean[0], mean[0] - error, mean[0] + error, *mean[3:])
    return [*(row(n, c) for n, c in credits.items()), row("constant per depth", constant), random]
