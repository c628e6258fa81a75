"""Particle filtering: partial solutions are a population, resampled by what the scorer thinks of each step."""

from functools import partial
from typing import Literal

import numpy as np

from stepcredit.credit.card import Preset
from stepcredit.data.layout import Floats, Ints
from stepcredit.errors import StepCreditError
from stepcredit.llm.requests import Plan
from stepcredit.ops import Aggregate, highest
from stepcredit.search.engine import Search
from stepcredit.search.tree import Node
from stepcredit.shelf import PlanCard

CARD = PlanCard(
    title="Rollout Roulette: particle-based Monte Carlo for inference-time scaling",
    paper="arXiv:2502.01618",
    bibtex="""@misc{puri2025probabilistic,
  title={A Probabilistic Inference Approach to Inference-Time Scaling of LLMs using Particle-Based Monte Carlo Methods},
  author={Puri, Isha and Sudalairaj, Shivchander and Xu, Guangxuan and Xu, Kai and Srivastava, Akash},
  eprint={2502.01618}, archivePrefix={arXiv}, year={2025}}""",
    evidence="official code read",
    asks=("sampler", "scorer"),
    needs="a task written in steps; a scorer that is near the chance of success after the step",
    cost="n steps and n opinions per depth, for each iteration",
    departures="Weights are the sequential Monte Carlo ones, w_t / w_{t-1}: its_hub weighs by w_t again after "
    "resampling, so that the same evidence counts at every step (preset its-hub). A particle without a score keeps the "
    "one it had.",
    code="https://github.com/Red-Hat-AI-Innovation-Team/its_hub (its_hub/algorithms/particle_gibbs.py)",
)

PRESETS = {
    "its-hub": Preset({"weight": "latest"}, "its_hub: the latest score is the weight, whatever was resampled before"),
    "gibbs": Preset({"iterations": 4, "references": 1}, "its_hub's Gibbs sampler: four iterations, one reference kept"),
}

_EDGE = 1e-7


def particle_filter(
    search: Search,
    *,
    n: int = 16,
    weight: Literal["ratio", "latest"] = "ratio",
    threshold: float = 1.0,
    iterations: int = 1,
    references: int = 0,
    how: Aggregate = "last",
    choose: Literal["best", "sample", "vote"] = "best",
) -> Plan[Node | None]:
    """n particles, resampled after each step with chances softmax(log w).

        l_t = logit(score_t),   log w_t = l_t - l_{t-1}  ("ratio", carried on where nothing was resampled)
                                log w_t = l_t            ("latest")

    Args:
        threshold: resample where the effective number of particles falls below this share of n; 1 = at every step.
        iterations: of the particle Gibbs sampler; n is split among them. references: particles of one iteration that
            the next one keeps as they are.
        how: from scores of steps to score_t. choose: of the complete particles the "best", a "sample" by weight, or
            the weighted "vote".

    Raises:
        StepCreditError: fewer particles per iteration than references + 1.
    """
    size = n // max(iterations, 1)
    if iterations < 1 or references < 0 or size <= references:
        raise StepCreditError(f"n must hold more particles per iteration than references; got {n}, {iterations}")
    search.choose = partial(_choose, search, how, choose)
    kept: list[Node] = []
    for _ in range(iterations):
        kept = yield from _sweep(search, size, kept, weight, threshold, how)
        weights = np.exp(_logit(search.tree.aggregated(kept, how)))
        chances = np.where(np.isnan(weights), 0, weights)
        total = chances.sum()
        if not kept or not references or not total:
            kept = []
            continue
        kept = [kept[i] for i in search.rng.choice(len(kept), references, p=chances / total).tolist()]
    return None


def _sweep(
    search: Search, size: int, references: list[Node], weight: str, threshold: float, how: Aggregate
) -> Plan[list[Node]]:
    """One population from the first step to the end: its complete particles."""
    paths = [r.path for r in references]
    particles = [search.root] * (size - len(paths))
    logw, before = np.zeros(size), np.zeros(size)
    depth = 0
    while True:
        depth += 1
        fixed = [path[min(depth, len(path)) - 1] for path in paths]
        open_ = [i for i, p in enumerate(particles) if not p.ended]
        if not open_:
            return particles + [path[-1] for path in paths]
        made = yield from search.propose([particles[i] for i in open_], 1)
        for i, children in zip(open_, made, strict=True):
            particles[i] = children[0] if children else search.tree.add(particles[i], "", ended=True)
        yield from search.score([particles[i] for i in open_])
        now = _logit(search.tree.aggregated([*particles, *fixed], how))
        now = np.where(np.isnan(now), before, now)
        logw = now - before + logw if weight == "ratio" else now
        before = now
        chances = softmax(logw)
        if 1 / np.sum(chances**2) <= threshold * size:
            chosen = resample(chances, len(particles), search.rng)
            pool = [*particles, *fixed]
            particles = [pool[i] for i in chosen.tolist()]
            before = np.concatenate([now[chosen], now[size - len(fixed) :]])
            logw = np.zeros(size)


def softmax(logw: Floats) -> Floats:
    """Chances in proportion to the weights.

    >>> softmax(np.log([0.9 / 0.1, 1.0, 0.1 / 0.9])).round(4).tolist()
    [0.8901, 0.0989, 0.011]
    """
    w = np.exp(logw - logw.max())
    return np.asarray(w / w.sum())


def resample(chances: Floats, n: int, rng: np.random.Generator) -> Ints:
    """[n] places drawn in proportion, by systematic resampling: one draw, evenly spaced, so that the numbers of copies
    are within one of their means."""
    at = (rng.random() + np.arange(n)) / n
    return np.minimum(np.searchsorted(np.cumsum(chances), at, side="right"), chances.size - 1)


def _logit(score: Floats) -> Floats:
    held = np.clip(score, _EDGE, 1 - _EDGE)
    return np.asarray(np.log(held) - np.log1p(-held))


def _choose(search: Search, how: Aggregate, choose: str) -> Node | None:
    if choose == "vote":
        return search.vote(how)
    leaves = search.tree.leaves()
    scores = search.tree.aggregated(leaves, how)
    if choose == "best" or highest(scores) is None:
        return search.best(how)
    weights = np.where(np.isnan(scores), 0, np.exp(_logit(scores)))
    return leaves[int(search.rng.choice(len(leaves), p=weights / weights.sum()))]
