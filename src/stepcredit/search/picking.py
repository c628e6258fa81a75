"""How policies order candidates and fall back on what they threw away."""

from collections.abc import Sequence

import numpy as np

from stepcredit.data.layout import Floats, Ints
from stepcredit.ops import Aggregate
from stepcredit.search.engine import Search
from stepcredit.search.tree import Node


def ranked(scores: Floats) -> Ints:
    """[n] places from the largest score to the smallest; equals as they come, what has no score last.

    >>> ranked(np.array([0.4, np.nan, 0.9, 0.4])).tolist()
    [2, 0, 3, 1]
    """
    s = np.asarray(scores, float)
    return np.asarray(np.argsort(-np.where(np.isnan(s), -np.inf, s), kind="stable"), np.int64)


def distinct(nodes: Sequence[Node]) -> tuple[list[Node], list[Node]]:
    """(the first of each text under each parent, the others); blanks around a text do not tell it apart."""
    first = {(n.parent, n.text.strip()): n for n in reversed(nodes)}
    kept = [n for n in nodes if first[n.parent, n.text.strip()] is n]
    return kept, [n for n in nodes if first[n.parent, n.text.strip()] is not n]


def once(nodes: Sequence[Node]) -> list[Node]:
    """The `distinct` ones; those that say the same again are thrown away."""
    kept, again = distinct(nodes)
    for node in again:
        node.kept = False
    return kept


def ended(search: Search) -> list[Node]:
    """Complete solutions; where all were thrown away, those."""
    return search.tree.leaves() or [n for n in search.tree.nodes if n.ended and not n.facts.get("aside")]


def most_valuable(search: Search) -> Node | None:
    """The complete solution of the largest backed-up value, the first of equals; one without a value stands last."""
    return max(search.tree.leaves(), key=lambda n: n.value if n.visits else -np.inf, default=None)


def best(search: Search, how: Aggregate = "last") -> Node | None:
    """`Search.best` of what is `ended`: of the solutions that were thrown away where no other is complete."""
    return search.best(how, ended(search))


def vote(search: Search, how: Aggregate | None = "last") -> Node | None:
    """`Search.vote` of what is `ended`."""
    return search.vote(how, ended(search))
