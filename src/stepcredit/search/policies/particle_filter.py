"""Particle filtering: partial solutions are drawn anew at every step in proportion to what the scorer says."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from stepcredit.credit.card import Preset
from stepcredit.data.layout import Floats, Ints
from stepcredit.errors import StepCreditError
from stepcredit.llm.requests import Plan
from stepcredit.ops import Aggregate, weighted_vote
from stepcredit.search.engine import Search
from stepcredit.search.picking import best
from stepcredit.search.tree import Node
from stepcredit.search.weighing import effective_size, softmax, systematic
from stepcredit.shelf import PlanCard

CARD = PlanCard(
    title="Rollout Roulette: A Probabilistic Inference Approach to Inference-Time Scaling of LLMs using Particle-Based "
    "Monte Carlo Methods",
    paper="arXiv:2502.01618",
    bibtex="""@misc{puri2025rollout,
  title={Rollout Roulette: A Probabilistic Inference Approach to Inference-Time Scaling of {LLMs} using Particle-Based
    Monte Carlo Methods},
  author={Puri, Isha and Sudalairaj, Shivchander and Xu, Guangxuan and Xu, Kai and Srivastava, Akash},
  eprint={2502.01618}, archivePrefix={arXiv}, year={2025}}""",
    evidence="official code read",
    asks=("sampler", "scorer"),
    needs="a scorer that tells chances, 0 to 1",
    cost="n steps and opinions per depth",
    departures="A particle is weighed by how its odds changed, as the odds before were paid for when it was drawn; "
    "its_hub weighs by the odds themselves at every step, so that early opinions count again and again. A particle "
    "without a score weighs as the mean of the others.",
    code="https://github.com/Red-Hat-AI-Innovation-Team/its_hub (algorithms/particle_gibbs.py)",
)

PRESETS = {
    "its-hub": Preset({"weight": "latest"}, "its_hub: at every step the weight is the odds of the latest score"),
    "gibbs": Preset(
        {"iterations": 4, "references": 1},
        "its_hub's particle Gibbs: n split over iterations, one is kept as a reference",
    ),
    "its-hub-gibbs": Preset(
        {"weight": "latest", "iterations": 4, "references": 1}, "its_hub: particle Gibbs by its own weights"
    ),
    "sample": Preset({"choose": "sample"}, "its_hub: the answer is drawn by the weights"),
    "ess": Preset({"threshold": 0.5}, "textbook: particles are drawn anew where half of them would do"),
}

_EDGE = 1e-7


def log_odds(score: Floats) -> Floats:
    """[n] ln(s / (1 - s)) of chances held within [1e-7, 1 - 1e-7]; NaN stays."""
    s = np.clip(np.asarray(score, float), _EDGE, 1 - _EDGE)
    return np.asarray(np.log(s) - np.log1p(-s))


@dataclass
class _Particle:
    """A partial solution, its log-weight since it was last drawn, and the log-odds that were counted for it."""

    node: Node
    weight: float = 0.0
    counted: float = 0.0


def particle_filter(
    search: Search,
    *,
    n: int = 16,
    iterations: int = 1,
    references: int = 0,
    weight: Literal["ratio", "latest"] = "ratio",
    threshold: float = 1.0,
    how: Aggregate = "last",
    choose: Literal["best", "sample", "vote"] = "best",
) -> Plan[Node | None]:
    """Each step: every particle takes one, w_t = odds(s_t) / odds(s_{t-1}), then n are drawn from Cat(w / sum w).

    Args:
        n: particles, of all iterations together. iterations: more than one is particle Gibbs: `references` of an
            iteration's solutions, drawn by weight, are among the particles of the next and cannot be lost; a particle
            that is drawn from one goes on from where it stands at that step.
        weight: "ratio", so that particles approach p(x) * odds(s_T) / Z; "latest", odds(s_t) at every step.
        threshold: particles are drawn anew where 1 / sum w^2 is at most this share of them; 1: always.
        how: from the scores of its steps to that of a partial solution.
        choose: the "best" solution; one drawn by weight ("sample"); a "vote" by weight.

    Raises:
        StepCreditError: fewer particles per iteration than references + 1.
    """
    size = n // max(iterations, 1)
    if iterations < 1 or references < 0 or size <= references:
        raise StepCreditError(f"n must hold more particles per iteration than references; got {n}, {iterations}")
    search.choose = lambda: best(search, how)
    kept: list[Node] = []
    final: list[_Particle] = []
    for i in range(iterations):
        final = yield from _sweep(search, size - len(kept), kept, weight, threshold, how)
        if not final:
            return None
        p = softmax(_weights(search, final, weight, how))
        if i + 1 < iterations:
            kept = [final[int(k)].node for k in search.rng.choice(len(final), references, p=p)]
    if choose == "best":
        return search.best(how, list(dict.fromkeys(x.node for x in final)))
    if choose == "sample":
        return final[int(search.rng.choice(len(final), p=p))].node
    place = weighted_vote([search.key(x.node) for x in final], p)
    return None if place is None else final[place].node


def _weights(search: Search, particles: Sequence[_Particle], weight: str, how: Aggregate) -> Floats:
    if weight == "ratio":
        return np.array([x.weight for x in particles])
    return log_odds(search.tree.aggregated([x.node for x in particles], how))


def _sweep(
    search: Search, free: int, kept: Sequence[Node], weight: str, threshold: float, how: Aggregate
) -> Plan[list[_Particle]]:
    """One pass of particles from the task to complete solutions, the references among them."""
    particles = [_Particle(search.root) for _ in range(free)]
    guides = [_Particle(search.root) for _ in kept]
    depth = 0
    while any(not x.node.ended for x in particles):
        moving = [x for x in particles if not x.node.ended]
        made = yield from search.propose([x.node for x in moving], 1)
        for x, children in zip(moving, made, strict=True):
            if children:
                x.node = children[0]
        lost = {id(x) for x, children in zip(moving, made, strict=True) if not children}
        particles = [x for x in particles if id(x) not in lost]
        depth += 1
        for guide, end in zip(guides, kept, strict=True):
            guide.node = end.path[min(depth, end.depth) - 1]
        everyone = [*particles, *guides]
        if not particles:
            break
        nodes = [x.node for x in everyone]
        yield from search.score(nodes if how == "last" else [s for node in nodes for s in node.path])
        _weigh(everyone, log_odds(search.tree.aggregated(nodes, how)))
        p = softmax(_weights(search, everyone, weight, how))
        if effective_size(p) <= threshold * len(everyone) + 1e-9:
            drawn = systematic(p, len(particles), search.rng.random())
            particles = _redrawn(everyone, drawn, p, len(guides))
    for guide, end in zip(guides, kept, strict=True):
        guide.node = end
    return [*(x for x in particles if x.node.ended), *guides]


def _weigh(particles: Sequence[_Particle], odds: Floats) -> None:
    """Count what the odds changed by; where they are not known, the mean change of the others."""
    change = odds - np.array([x.counted for x in particles])
    known = change[~np.isnan(change)]
    mean = float(np.log(np.mean(np.exp(known)))) if known.size else 0.0
    for x, d in zip(particles, change.tolist(), strict=True):
        own = d if d == d else mean
        x.weight += own
        x.counted += own


def _redrawn(everyone: Sequence[_Particle], drawn: Ints, p: Floats, guides: int) -> list[_Particle]:
    """Copies of those that were drawn, all of equal weight; what nobody stands at any more is not kept."""
    standing = {everyone[int(k)].node for k in drawn}
    for i, x in enumerate(everyone):
        x.node.facts["weight"] = round(float(p[i]), 6)
        x.node.kept = x.node in standing
    for guide in everyone[len(everyone) - guides :]:
        guide.node.kept, guide.weight = True, 0.0
    return [_Particle(everyone[int(k)].node, 0.0, everyone[int(k)].counted) for k in drawn]
