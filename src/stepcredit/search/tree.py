"""Partial solutions as a tree: what was written, what it was worth, what it cost."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from stepcredit.data.layout import Floats, Ints
from stepcredit.ops import Aggregate, aggregate
from stepcredit.protocols import Environment

NAN = float("nan")


@dataclass(eq=False)
class Node:
    """A step, and by its parents the partial solution that ends with it. The root has no step.

    text: what was written, without the separator. observation: what the environment answered. ended: the solution is
    complete. score: of the step by the scorer; NaN with the status "missing" (not asked) or "failed" (reason says why),
    else "ok". value, visits: of policies that back up. tokens: written for it, None = not counted. kept: False = thrown
    away. prior, logp: of its text under the model, NaN = not known. facts: what a policy wants to remember and see in
    the trace (plain data).
    """

    place: int
    parent: "Node | None" = None
    text: str = ""
    observation: str | None = None
    ended: bool = False
    score: float = NAN
    status: str = "missing"
    reason: str | None = None
    value: float = 0.0
    visits: int = 0
    tokens: int | None = None
    logp: float = NAN
    prior: float = NAN
    kept: bool = True
    world: Environment | None = None
    outcome: float = NAN
    children: "list[Node]" = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def depth(self) -> int:
        """Steps so far."""
        return 0 if self.parent is None else self.parent.depth + 1

    @property
    def path(self) -> "list[Node]":
        """Its steps, the first one first; the root is none of them."""
        steps: list[Node] = []
        node: Node | None = self
        while node is not None and node.parent is not None:
            steps.append(node)
            node = node.parent
        return steps[::-1]

    def scores(self) -> Floats:
        """[depth] scores of its steps."""
        return np.array([n.score for n in self.path], float)


class Tree:
    """All nodes in the order in which they were made; the root is the first."""

    def __init__(self, world: Environment | None = None) -> None:
        self.nodes = [Node(0, world=world)]

    @property
    def root(self) -> Node:
        """The task with nothing done."""
        return self.nodes[0]

    def add(self, parent: Node, text: str, **known: Any) -> Node:
        """A new child."""
        node = Node(len(self.nodes), parent, text, **known)
        self.nodes.append(node)
        parent.children.append(node)
        return node

    def leaves(self) -> list[Node]:
        """Complete solutions that were not thrown away, in the order in which they were made."""
        return [n for n in self.nodes if n.ended and n.kept]

    def aggregated(self, nodes: list[Node], how: Aggregate) -> Floats:
        """[nodes] one score of each solution from those of its steps (`ops.aggregate`)."""
        parts = [n.scores() for n in nodes]
        offsets: Ints = np.cumsum([0, *(len(p) for p in parts)])
        return aggregate(np.concatenate(parts) if parts else np.zeros(0), offsets, how)

    def rows(self) -> Iterator[Mapping[str, Any]]:
        """Each node as plain data for a trace; what is not known is left out."""
        for n in self.nodes:
            row = {
                "node": n.place,
                "parent": None if n.parent is None else n.parent.place,
                "text": n.text,
                "observation": n.observation,
                "ended": n.ended or None,
                "score": n.score if n.score == n.score else None,
                "status": n.status if n.status != "missing" else None,
                "reason": n.reason,
                "value": n.value if n.visits else None,
                "visits": n.visits or None,
                "tokens": n.tokens,
                "logp": n.logp if n.logp == n.logp else None,
                "outcome": n.outcome if n.outcome == n.outcome else None,
                "kept": None if n.kept else False,
                "facts": n.facts or None,
            }
            yield {k: v for k, v in row.items() if v is not None or k == "parent"}
