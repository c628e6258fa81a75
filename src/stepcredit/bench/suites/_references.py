"""What credit of a batch of worlds is measured beside: Monte Carlo values, Jeffreys intervals, and knowing nothing."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np

from stepcredit.data.batch import Batch
from stepcredit.data.layout import Floats, Ints
from stepcredit.ops import cells

Random = np.random.Generator


class Judged(NamedTuple):
    """[S] credit, [S] its standard error where there is one, and the model calls (rollouts) per prompt it took."""

    credit: Floats
    sd: Floats | None
    calls: float


def monte_carlo(batch: Batch, random: Random, *, k: int) -> Judged:
    """Credit by k fresh rollouts from every state passed, as VinePPO takes it; outcomes are 0 or 1.

        credit = V^(next) - V^(now),  V^(now) ~ Binomial(k, V(now)) / k, at the end the outcome;  calls = N + k steps

    The binomial is what k rollouts from the state would give. Unbiased; rows of equal states are rolled out apart.
    """
    lay = batch.layout
    value = random.binomial(k, np.clip(batch["truth.value"], 0, 1)) / k
    after = np.append(value[1:], 0.0)
    after[lay.last] = batch["outcome"]
    return Judged(after - value, None, (lay.R + k * lay.S) / lay.G)


def jeffreys(batch: Batch, random: Random) -> Judged:
    """Q - V of Jeffreys posteriors of the prompt's outcomes (0 or 1), taken to be independent although they are not.

    Q ~ Beta(1/2 + won, 1/2 + lost) over the visits of (state, action); V the same over all visits of the state
    credit = E Q - E V,  sd = sqrt(Var Q + Var V)
    """
    prompt, won = batch.layout.step_group, batch["outcome"][batch.layout.rollout]
    q, v = cells(prompt, batch["state"], batch["action"]), cells(prompt, batch["state"])
    (q_mean, q_var), (v_mean, v_var) = _posterior(q, won), _posterior(v, won)
    return Judged(q_mean - v_mean, np.sqrt(q_var + v_var), _own(batch))


def depth(batch: Batch, random: Random) -> Judged:
    """A constant per depth that sees the truth: the share of good steps among the decision points at that turn."""
    turn, decision = batch.layout.turn, batch["truth.decision"]
    good, all_ = np.bincount(turn, decision * batch["truth.good"]), np.bincount(turn, decision)
    return Judged(np.divide(good, all_, out=np.zeros(all_.size), where=all_ > 0)[turn], None, _own(batch))


def noise(batch: Batch, random: Random) -> Judged:
    """Random numbers."""
    return Judged(random.normal(size=batch.layout.S), None, _own(batch))


MONTE_CARLO = {f"Monte Carlo, K={k}": partial(monte_carlo, k=k) for k in (4, 16)}
OF_ZERO_AND_ONE: dict[str, Callable[[Batch, Random], Judged]] = {**MONTE_CARLO, "Jeffreys": jeffreys}
REFERENCES = {**OF_ZERO_AND_ONE, "constant per depth": depth, "random": noise}


def references(batch: Batch) -> list[str]:
    """Those that make sense on such a batch."""
    binary = "reward" not in batch and bool(np.isin(batch["outcome"], (0, 1)).all())
    return [name for name in REFERENCES if binary or name not in OF_ZERO_AND_ONE]


def _own(batch: Batch) -> float:
    return batch.layout.R / batch.layout.G


def _posterior(cell: Ints, won: Floats) -> tuple[Floats, Floats]:
    n, wins = np.bincount(cell), np.bincount(cell, won)
    mean = (wins + 0.5) / (n + 1)
    return mean[cell], (mean * (1 - mean) / (n + 2))[cell]
