"""Trees of rollouts once more, slowly: nodes by name, recursion, dictionaries. Nothing here is shared with the package.

A node is (prompt, way): the steps that lead to it, as a tuple; (prompt, ()) is the prompt. A case is a rollout: its
way, its prompt, its outcome (NaN = unknown). A rollout may end at a step that others go on from.
"""

import math

import numpy as np
from hypothesis import strategies as st

from stepcredit.data.layout import Paths, Tree

ways = st.lists(st.integers(0, 2), max_size=4).map(tuple)
cases = st.lists(
    st.tuples(ways, st.sampled_from([0, 2]), st.sampled_from([0.0, 1.0, 0.25, 0.1, math.nan])), min_size=1, max_size=12
)


def forest(walks, group):
    """A Tree of the rollouts that walk so, equal prefixes of a prompt shared; and the row of each node."""
    row, rollout, rows, start = {}, [], [], [0]
    for r, (way, g) in enumerate(zip(walks, group, strict=True)):
        for depth in range(len(way)):
            name = (g, way[: depth + 1])
            if name not in row:
                row[name] = len(rollout)
                rollout.append(r)
            rows.append(row[name])
        start.append(len(rows))
    return Tree(np.array(group), np.array(rollout, int), Paths(np.array(start), np.array(rows, int))), row


def known(values):
    return [v for v in values if not math.isnan(v)]


def mean(values):
    values = known(values)
    return sum(values) / len(values) if values else math.nan


def deviation(values, ddof):
    return math.sqrt(sum((v - mean(values)) ** 2 for v in values) / (len(values) - ddof)) if len(values) > ddof else 0.0


def compared(value, cell, ddof, eps):
    """{key: value} -> {key: value minus the mean of its cell, over its spread}; ddof None: no spread."""
    out = {}
    for key, v in value.items():
        peers = known([w for k, w in value.items() if cell[k] == cell[key]])
        width = 0.0 if ddof is None or math.isnan(v) else deviation(peers, ddof)
        apart = v - mean(peers)
        out[key] = apart if ddof is None or math.isnan(apart) else apart / (width + eps) if width > 1e-9 else 0.0
    return out


class Plain:
    """cases: (way, prompt, outcome) of each rollout."""

    def __init__(self, cases):
        self.cases = cases
        self.nodes = sorted({(g, way[: k + 1]) for way, g, _ in cases for k in range(len(way))})

    def through(self, node):
        """Rollouts (by number) that pass a node."""
        g, way = node
        return [r for r, (w, h, _) in enumerate(self.cases) if h == g and w[: len(way)] == way]

    def outcomes(self, node):
        return [self.cases[r][2] for r in self.through(node)]

    def children(self, node):
        """Steps that follow a node."""
        return [n for n in self.nodes if n[0] == node[0] and n[1][:-1] == node[1] and len(n[1]) == len(node[1]) + 1]

    def ends(self, node):
        """Outcomes of the rollouts that end at it."""
        return [x for w, g, x in self.cases if (g, w) == node]

    def leaf_value(self, node):
        return mean(self.outcomes(node))

    def child_value(self, node):
        return mean([self.child_value(c) for c in self.children(node)] + self.ends(node))

    def weighted_value(self, node, log_weight):
        """Children by the softmax of their log-weights; a rollout that ends here has 0."""
        pairs = [(log_weight[c], self.weighted_value(c, log_weight)) for c in self.children(node)]
        pairs = [(a, v) for a, v in [*pairs, *((0.0, x) for x in self.ends(node))] if not math.isnan(v)]
        total = sum(math.exp(a) for a, _ in pairs)
        return sum(math.exp(a) * v for a, v in pairs) / total if pairs else math.nan


def parent(node):
    return node[0], node[1][:-1]


def prompt(node):
    return node[0], ()
