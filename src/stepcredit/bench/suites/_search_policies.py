"""What the search suite measures: policies at some options, the models they ask, the curves they stand beside."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np

from stepcredit.bench.suites._search_tasks import model, solved
from stepcredit.ops import highest, weighted_vote
from stepcredit.search import Found, Task


@dataclass(frozen=True)
class Choice:
    """A policy at some options, within some limits."""

    name: str
    policy: str
    options: Mapping[str, Any] = field(default_factory=dict)
    limits: Mapping[str, float] | None = None


POLICIES = (
    Choice("beam 16/4", "beam", {"n": 16, "width": 4}),
    Choice("beam 4/4", "beam", {"n": 4, "width": 4}),
    Choice("beam its_hub 16/4", "beam@its-hub", {"n": 16, "width": 4}),
    Choice("greedy", "greedy"),
    Choice("DVTS 16/4", "dvts", {"n": 16, "width": 4}),
    Choice("step beam 1x5", "alphamath_sbs"),
    Choice("step beam 3x5", "step_beam@alphamath-sbs-3"),
    Choice("OVM 4x5", "ovm"),
    Choice("MCTS PUCT", "mcts", {"iterations": 16}),
    Choice("MCTS UCT", "mcts@uct", {"iterations": 16}),
    Choice("MCTS OpenR", "mcts@openr", {"iterations": 16}),
    Choice("MCTS AlphaMath", "alphamath_mcts", {"iterations": 16}),
    Choice("particles 16", "particle_filter", {"n": 16}),
    Choice("particles its_hub 16", "particle_filter@its-hub", {"n": 16}),
    Choice("particle Gibbs 16", "particle_filter@gibbs", {"n": 16}),
)


@lru_cache(maxsize=8)
def models(data: str | None, noise: float, seed: int) -> dict[str, Any]:
    """The tabular model, and a scorer that knows its values up to the noise."""
    tabular = model(data, seed)
    return {"sampler": tabular, "scorer": tabular.scorer(noise, seed=seed)}


def curve(found: Sequence[Found], given: Sequence[Task], n: Sequence[int]) -> dict[str, Any]:
    """Best-of-N, weighted majority and plain majority by the first N solutions of each search."""
    out: dict[str, Any] = {kind: {} for kind in ("best", "weighted majority", "majority")}
    for k in n:
        picks: dict[str, list[float]] = {kind: [] for kind in out}
        tokens, scores = [], []
        for one, task in zip(found, given, strict=True):
            leaves = one.tree.leaves()[:k]
            last = np.array([leaf.score for leaf in leaves], float)
            answers = [leaf.text.removeprefix("Answer: ") for leaf in leaves]
            known = [None if a == "no solution" else a for a in answers]
            for kind, place in (
                ("best", highest(last)),
                ("weighted majority", weighted_vote(known, last)),
                ("majority", weighted_vote(known)),
            ):
                text = None if place is None else known[place]
                picks[kind] += solved({0: _Answer(text)}, [task])
            tokens.append(float(sum(n.tokens or 0 for leaf in leaves for n in leaf.path)))
            scores.append(float(sum(len(leaf.path) for leaf in leaves)))
        for kind, values in picks.items():
            asked = scores if kind != "majority" else [0.0] * len(scores)
            out[kind][str(k)] = {"solved": values, "tokens": tokens, "calls": [float(k)] * len(tokens), "score": asked}
    return out


@dataclass(frozen=True)
class _Answer:
    answer: str | None
