"""The terms of SWE-Search's selection score, as its official code adds them up."""

import math
import re
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, fields

import numpy as np

from stepcredit.search.tree import NAN, Node, Tree

HIGH, LOW, VERY_HIGH, SOLVED = 50.0, 0.0, 75.0, 100.0


def mean_reward(node: Node) -> float:
    """Mean of value / visits over a trajectory, the task included; a node without a visit has none: it does not count.

    NaN where none has.
    """
    at: Node | None = node
    known: list[float] = []
    while at is not None:
        known += [at.value / at.visits] if at.visits else []
        at = at.parent
    return sum(known) / len(known) if known else NAN


@dataclass(frozen=True)
class Weights:
    """What scales the terms, and what they ask of a step."""

    exploit: float = 1.0
    explore: float = 1.0
    depth: float = 0.8
    root_bonus: float = 0.0
    use_mean: bool = False
    edits: re.Pattern[str] = re.compile("")
    context: Callable[[Node], Collection[str]] | None = None

    def reward(self, node: Node) -> float:
        """Of a step, or along its trajectory; 0 where there is none (the task)."""
        own = mean_reward(node) if self.use_mean else node.score
        return own if own == own else 0.0


@dataclass(frozen=True)
class Terms:
    """The terms, signs applied; `total` is their sum, inf for a step that was never visited."""

    exploit: float = 0.0
    explore: float = 0.0
    depth: float = 0.0
    root: float = 0.0
    promising_leaf: float = 0.0
    bad_child: float = 0.0
    great_child: float = 0.0
    great_parent: float = 0.0
    finished: float = 0.0
    correction: float = 0.0
    diversity: float = 0.0
    duplicate_child: float = 0.0
    duplicate_kind: float = 0.0
    unvisited: float = 0.0

    @property
    def total(self) -> float:
        return float(sum(getattr(self, f.name) for f in fields(self)))

    def known(self) -> dict[str, float]:
        """Those that are not 0, for the trace; never inf."""
        return {f.name: round(v, 6) for f in fields(self) if (v := getattr(self, f.name)) and math.isfinite(v)}


def terms(node: Node, weights: Weights, tree: Tree, world: bool = True) -> Terms:
    """All terms of a step.

    >>> task = Tree().root
    >>> task.visits, step = 10, Tree().add(task, "look")
    >>> step.visits, step.score = 3, 60.0
    >>> round(terms(step, Weights(), Tree()).explore, 4)
    0.8761
    """
    if not node.visits:
        return Terms(unvisited=math.inf)
    above = node.parent.visits if node.parent else 1
    reward = weights.exploit * weights.reward(node)
    children = [c.score for c in node.children if c.score == c.score]
    kinds = Counter(_kind(c) for c in node.children) if world else Counter[str]()
    return Terms(
        exploit=reward,
        explore=weights.explore * math.sqrt(math.log(above) / node.visits),
        depth=-weights.depth * math.sqrt(node.depth),
        root=0.0 if node.depth else weights.root_bonus * math.exp(weights.depth),
        promising_leaf=50.0 if not node.children and node.score >= HIGH else 0.0,
        bad_child=_bad_child(node, reward, children, weights),
        great_child=-5.0 if children and max(children) >= VERY_HIGH else 0.0,
        great_parent=_great_parent(node, reward),
        finished=-50.0 if _solved_below(node) else 0.0,
        correction=50.0 / (1 + len(node.children) ** 2) if _refused(node) and not _refused(node.parent) else 0.0,
        diversity=_diversity(node, weights, tree),
        duplicate_child=-25.0 * sum(bool(c.facts.get("duplicate")) for c in node.children) ** 2,
        duplicate_kind=-50.0 * sum((n - 1) ** 2 for n in kinds.values()),
    )


def _bad_child(node: Node, reward: float, children: list[float], weights: Weights) -> float:
    if reward < HIGH or len(children) != 1 or children[0] > LOW:
        return 0.0
    return 5 * (reward - children[0]) if any(weights.edits.search(c.text) for c in node.children) else 0.0


def _great_parent(node: Node, reward: float) -> float:
    if node.children or node.parent is None or reward > LOW:
        return 0.0
    above = node.parent.score
    return HIGH - reward if above != above or above > HIGH else 0.0


def _solved_below(node: Node) -> bool:
    return any((c.ended and c.score >= SOLVED) or _solved_below(c) for c in node.children)


def _refused(node: Node | None) -> bool:
    return node is not None and node.facts.get("valid") is False


def _diversity(node: Node, weights: Weights, tree: Tree) -> float:
    if weights.context is None:
        return 0.0
    mine = set(weights.context(node))
    if not mine:
        return 0.0
    others = [set(weights.context(n)) for n in tree.nodes if n.children and n is not node]
    return 100.0 * (1 - float(np.mean([_likeness(mine, o) for o in others]))) if others else 100.0


def _likeness(a: set[str], b: set[str]) -> float:
    return len(a & b) / len(a | b) if a | b else 1.0


def _kind(node: Node) -> str:
    return next(iter(node.text.split()), "").lower()
