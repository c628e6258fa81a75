"""Regressors of outcomes whose parts are numbers per step: fitted to outcomes, read step by step."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np

from stepcredit.data.layout import Bools, Floats, Ints, Layout
from stepcredit.errors import StepCreditError
from stepcredit.llm.seeded import seeded
from stepcredit.plugins import extra

Loss = Literal["sum", "rd", "rrd", "rrd-unbiased"]


def sum_loss(total: Any, outcome: Any) -> Any:
    """mean_i (sum_t r_t - R_i)^2: SPA-RL. total: [B] sums of the rollouts. Arrays or tensors."""
    return ((total - outcome) ** 2).mean()


def rd_loss(total: Any, outcome: Any, steps: Any) -> Any:
    """mean_i (sum_t r_t / T_i - R_i / T_i)^2: return decomposition. steps: [B] T."""
    return (((total - outcome) / steps) ** 2).mean()


def rrd_loss(sampled: Any, outcome: Any, steps: Any, *, unbiased: bool = False) -> Any:
    """mean_i (mean_k r_k - R_i / T_i)^2 over K steps drawn from each rollout: randomized return decomposition.

    Args:
        sampled: [B, K] r at the steps that were drawn.
        unbiased: minus mean_i var(r_k) (1 - K / T_i) / K, the variance over K - 1: what drawing without replacement
            adds to the loss, so that its mean is that of `rd_loss`.
    """
    k = sampled.shape[1]
    mean = sampled.mean(1)
    loss = ((mean - outcome / steps) ** 2).mean()
    if not unbiased:
        return loss
    variance = ((sampled - mean[:, None]) ** 2).sum(1) / (k - 1)
    return loss - (variance * (1 - k / steps) / k).mean()


@dataclass(frozen=True)
class Fit:
    """How a regressor is fitted.

    model: "ridge", linear in the features, in closed form; "mlp", a network by Adam. loss, penalty (of ridge), sampled
    (K of "rrd"), width, layers, epochs, batch_size (rollouts), lr, seed. folds: prompts are parted into so many, and
    each step is read by a regressor that saw no outcome of its part; 1: by one that saw all.
    """

    model: Literal["ridge", "mlp"] = "ridge"
    loss: Loss = "sum"
    penalty: float = 1.0
    sampled: int = 64
    width: int = 64
    layers: int = 2
    epochs: int = 200
    batch_size: int = 32
    lr: float = 3e-3
    seed: int = 0
    folds: int = 5

    def __post_init__(self) -> None:
        if self.model == "ridge" and self.loss in ("rrd", "rrd-unbiased"):
            raise StepCreditError("ridge sees all steps: drawing some is for the network", hint="loss='rd'")
        if self.sampled < 1 + (self.loss == "rrd-unbiased"):
            raise StepCreditError(f"{self.loss} draws at least {1 + (self.loss == 'rrd-unbiased')} steps")
        if self.folds < 1 or self.penalty < 0:
            raise StepCreditError(f"folds must be at least 1 and penalty 0; got {self.folds}, {self.penalty}")


def contributions(layout: Layout, features: Floats, outcome: Floats, how: Fit) -> Floats:
    """[S] what each step is worth to the regressor; NaN where its features are unknown.

    Args:
        features: [S, d], NaN = unknown: then the rollout teaches nothing.
        outcome: [R], NaN = unknown: read, but not learned from.

    Raises:
        StepCreditError: one prompt alone cannot be parted.
    """
    unknown: Bools = np.asarray(np.isnan(features).any(axis=1))
    steps = layout.steps
    lost = np.bincount(layout.paths.rollout, weights=unknown[layout.paths.rows], minlength=layout.R) > 0
    usable = (steps > 0) & ~np.isnan(outcome) & ~lost
    known = np.where(unknown[:, None], 0.0, features)
    fit: Callable[..., Floats] = _ridge if how.model == "ridge" else _network
    out = np.full(layout.S, np.nan)
    if how.folds > 1:
        prompts = np.unique(layout.group[usable])
        if prompts.size == 1:
            raise StepCreditError(
                "attributing a rollout by a regressor that did not see its prompt needs two prompts with outcomes",
                hint="folds=1 fits and reads the same rollouts",
            )
        part = np.zeros(layout.G, np.int64)
        part[np.random.default_rng(how.seed).permutation(layout.G)] = np.arange(layout.G) % how.folds
    else:
        part = np.full(layout.G, -1)
    for fold in np.unique(part).tolist():
        train = usable & (part[layout.group] != fold) if how.folds > 1 else usable
        rows = part[layout.step_group] == fold
        if train.any() and rows.any():
            out[rows] = fit(layout, known, outcome, np.flatnonzero(train), how)[rows]
    return np.where(unknown, np.nan, out)


def _standard(features: Floats, rows: Ints) -> Floats:
    """Features in units of their spread over these rows."""
    mean, spread = features[rows].mean(0), features[rows].std(0)
    return np.asarray((features - mean) / np.where(spread > 1e-12, spread, 1.0))


def _rows(layout: Layout, rollouts: Ints) -> tuple[Ints, Ints]:
    """([n] step rows of these rollouts one after the other, [n] which of them)."""
    mine = np.zeros(layout.R, bool)
    mine[rollouts] = True
    taken: Bools = mine[layout.paths.rollout]
    place = np.cumsum(mine) - 1
    return layout.paths.rows[taken], place[layout.paths.rollout[taken]]


def _ridge(layout: Layout, features: Floats, outcome: Floats, train: Ints, how: Fit) -> Floats:
    rows, of = _rows(layout, train)
    x = np.column_stack([_standard(features, rows), np.ones(len(features))])
    total = np.zeros((train.size, x.shape[1]))
    np.add.at(total, of, x[rows])
    target = outcome[train]
    if how.loss == "rd":
        steps = layout.steps[train]
        total, target = total / steps[:, None], target / steps
    # The last feature, the same for every step, is not drawn to 0.
    drawn = np.diag(np.append(np.full(x.shape[1] - 1, np.sqrt(how.penalty)), 0.0))
    weights = np.linalg.lstsq(np.vstack([total, drawn]), np.append(target, np.zeros(x.shape[1])), rcond=None)[0]
    return np.asarray(x @ weights)


def _network(layout: Layout, features: Floats, outcome: Floats, train: Ints, how: Fit) -> Floats:
    torch = extra("torch", "a network that attributes outcomes", name="llm")
    rows, of = _rows(layout, train)
    x = torch.tensor(_standard(features, rows), dtype=torch.float32)
    steps = torch.tensor(layout.steps[train], dtype=torch.float32)
    want = torch.tensor(outcome[train], dtype=torch.float32)
    begins = torch.tensor(np.searchsorted(of, np.arange(train.size)))
    rows, of = torch.tensor(rows), torch.tensor(of)
    with seeded(torch, how.seed):
        sizes = [x.shape[1], *[how.width] * (how.layers - 1), 1]
        parts = [p for a, b in pairwise(sizes) for p in (torch.nn.Linear(a, b), torch.nn.ReLU())]
        net = torch.nn.Sequential(*parts[:-1])
        optimizer = torch.optim.Adam(net.parameters(), lr=how.lr)
        for _ in range(how.epochs):
            for chosen in torch.randperm(train.size).split(how.batch_size):
                part = torch.isin(of, chosen)
                value = torch.full((len(rows),), float("nan"))
                value[part] = net(x[rows[part]])[:, 0]
                loss = _loss(torch, value, part, of, begins, chosen, want, steps, how)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        with torch.no_grad():
            return np.asarray(net(x)[:, 0].double().numpy())


def _loss(torch: Any, value: Any, part: Any, of: Any, begins: Any, chosen: Any, want: Any, steps: Any, how: Fit) -> Any:
    """Of the chosen rollouts. value: [n] per step, known where part is."""
    outcome, length = want[chosen], steps[chosen]
    if how.loss in ("sum", "rd"):
        total = torch.zeros(len(want)).index_add(0, of[part], value[part])[chosen]
        return sum_loss(total, outcome) if how.loss == "sum" else rd_loss(total, outcome, length)
    drawn = begins[chosen][:, None] + _drawn(torch, length, how.sampled)
    return rrd_loss(value[drawn], outcome, length, unbiased=how.loss == "rrd-unbiased")


def _drawn(torch: Any, steps: Any, k: int) -> Any:
    """[B, k] steps drawn from each rollout, with replacement only where it has fewer than k."""
    longest = max(int(steps.max()), k)
    key = torch.rand(len(steps), longest)
    key[torch.arange(longest) >= steps[:, None]] = 2.0
    apart = key.argsort(1)[:, :k]
    again = (torch.rand(len(steps), k) * steps[:, None]).long()
    return torch.where((steps < k)[:, None], again, apart)
