"""Monte Carlo tree search as policies share it: upper confidence bounds, running means, the loop over both."""

import math
from collections.abc import Callable, Sequence

import numpy as np

from stepcredit.data.layout import Floats
from stepcredit.llm.requests import Plan
from stepcredit.search.engine import Search
from stepcredit.search.tree import Node


def uct(value: Floats, visits: Floats, above: float, c: float) -> Floats:
    """[children] upper confidence bounds: Q + c * sqrt(ln N_parent / N), inf for what was never visited.

    >>> uct(np.array([0.6, 0.5]), np.array([3, 1]), 4, 1.0).round(4).tolist()
    [1.2798, 1.6774]
    """
    q, n = np.asarray(value, float), np.asarray(visits, float)
    with np.errstate(divide="ignore", invalid="ignore"):
        bound = q + c * np.sqrt(math.log(max(above, 1.0)) / n)
    return np.where(n > 0, bound, np.inf)


def back_up(node: Node, value: float) -> None:
    """One visit of this value to a node and all above it: Q <- Q + (value - Q) / N. An unknown value is no visit."""
    if value != value:
        return
    at: Node | None = node
    while at is not None:
        at.visits += 1
        at.value += (value - at.value) / at.visits
        at = at.parent


def descend(root: Node, c: float) -> Node:
    """From the root to a node without children, each time to the child of the largest bound. A child whose value is
    not known is passed by; where there is no other, the way ends above it."""
    node = root
    while True:
        known = [child for child in node.children if child.visits and child.kept]
        if not known:
            return node
        value, visits = np.array([k.value for k in known]), np.array([k.visits for k in known], float)
        node = known[int(np.argmax(uct(value, visits, node.visits, c)))]


def grow(
    search: Search,
    *,
    iterations: int,
    c: float,
    expand: Callable[[Node], Plan[Sequence[Node]]],
    evaluate: Callable[[Sequence[Node]], Plan[Floats]],
) -> Plan[None]:
    """Descend, expand, evaluate the new nodes, back up the value of the best; a complete solution is visited again.

    Args:
        expand: the plan that makes children of a node. evaluate: the plan that tells their values, NaN = not known.
    """
    for _ in range(iterations):
        node = descend(search.root, c)
        if node.ended:
            back_up(node, node.value)
            continue
        made = yield from expand(node)
        if not made:
            continue
        value = yield from evaluate(made)
        for child, own in zip(made, value.tolist(), strict=True):
            if own == own:
                child.value, child.visits = own, 1
        if not np.isnan(value).all():
            back_up(node, float(np.nanmax(value)))


def finished(search: Search) -> Plan[None]:
    """Where no solution is complete yet, complete the most valuable partial one."""
    if search.tree.leaves():
        return
    tips = [n for n in search.tree.nodes if n.kept and n.visits and not any(k.visits for k in n.children)]
    best = max(tips, key=lambda n: (n.value, -n.place), default=search.root)
    yield from search.complete([best])
