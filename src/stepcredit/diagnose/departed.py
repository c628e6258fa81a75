"""How the other runs fared that were where a run was: counts made once for all runs of a task."""

from typing import NamedTuple

import numpy as np

from stepcredit.data.layout import Floats, Ints
from stepcredit.diagnose.graph import STOP, Graph


class Counts(NamedTuple):
    """[T + 1] of the other runs that passed each place of a run, the place where it ended included: how many did
    anything there, the same, the same and came to the same node; and how many of those succeeded. lone: of actions
    that no two of them took."""

    all: Floats
    all_won: Floats
    same: Floats
    same_won: Floats
    link: Floats
    link_won: Floats
    lone: Floats


class _Level(NamedTuple):
    """Departures by one key, those of a key by the steps still ahead.

    keys: [K + 1] in order, and one that is none. start: [K + 2] rows of each. at: [D] place of the key times `span`,
    plus steps ahead. won: [D + 1] success of the rows so far.
    """

    keys: Ints
    start: Ints
    at: Ints
    won: Floats
    span: int

    @classmethod
    def of(cls, key: Ints, ahead: Ints, won: Floats, span: int) -> "_Level":
        keys, place = np.unique(key, return_inverse=True)
        at = place.reshape(-1) * span + ahead
        order = np.argsort(at, kind="stable")
        start = np.zeros(keys.size + 2, np.int64)
        np.cumsum(np.bincount(place.reshape(-1), minlength=keys.size + 1), out=start[1:])
        so_far = np.concatenate(([0.0], np.cumsum(won[order])))
        return cls(np.append(keys, STOP - 1), start, at[order], so_far, span)

    @property
    def size(self) -> int:
        """K."""
        return self.keys.size - 1

    def find(self, key: Ints) -> Ints:
        """[Q] the place of each key; K where it is not there."""
        place = np.searchsorted(self.keys[:-1], key)
        return np.where(self.keys[place] == key, place, self.size)

    def tally(self, place: Ints, bound: Ints) -> tuple[Floats, Floats]:
        """[Q], [Q] how many rows the key at each place has, and the success of those with at most `bound` steps
        ahead."""
        first, end = self.start[place], self.start[place + 1]
        upto = np.maximum(np.searchsorted(self.at, place * self.span + bound, side="right"), first)
        return (end - first).astype(float), self.won[np.minimum(upto, end)] - self.won[first]


class Departed(NamedTuple):
    """How the runs of known outcome left every node, counted once for all runs of a task: by node, by node and action,
    by these and the node after. lone: [N] actions that one run alone took there."""

    node: _Level
    action: _Level
    link: _Level
    lone: Floats

    @classmethod
    def of(cls, graph: Graph) -> "Departed":
        left = graph.departures
        rows = ~np.isnan(graph.success[left.rollout])
        node = np.repeat(np.arange(graph.size), np.diff(left.start))[rows]
        ahead, won, span = left.ahead[rows], graph.success[left.rollout[rows]], int(graph.length.max(initial=0)) + 1
        action = _Level.of(_both(node, left.action[rows], len(graph.examples)), ahead, won, span)
        pair = action.find(_both(node, left.action[rows], len(graph.examples)))
        alone = action.keys[np.diff(action.start) == 1] // (len(graph.examples) + 1)
        return cls(
            _Level.of(node, ahead, won, span),
            action,
            _Level.of(_both(pair, left.next[rows], graph.size), ahead, won, span),
            np.bincount(alone, minlength=graph.size).astype(float),
        )

    def counts(self, graph: Graph, me: int, limited: bool | None) -> tuple[Counts, bool]:
        """The counts at each place of a run, itself left out; and whether it had used up its steps, which is found out
        where `limited` is None."""
        path, mine, left = graph.path(me), slice(graph.start[me], graph.start[me + 1]), graph.departures
        steps = path.size - 1
        if limited is None:
            there = slice(left.start[path[-1]], left.start[path[-1] + 1])
            goes_on = (left.ahead[there] > 0) & ~np.isnan(graph.success[left.rollout[there]])
            limited = steps == graph.length.max() and bool(goes_on.any())
        bound = steps - np.arange(steps + 1) if limited else np.full(steps + 1, self.node.span - 1)
        did, came = np.append(graph.action[mine], STOP), np.append(graph.t[mine], STOP)
        nodes = self.node.find(path)
        pair = self.action.find(_both(path, did, len(graph.examples)))
        link = np.where(pair < self.action.size, self.link.find(_both(pair, came, graph.size)), self.link.size)
        (n, won), (same, same_won), (to, to_won) = (
            level.tally(place, bound) for level, place in ((self.node, nodes), (self.action, pair), (self.link, link))
        )
        lone, success = self.lone[path], graph.success[me]
        if not np.isnan(success):  # it is among those counted, as it left each node last
            _, latest, node = np.unique(path[::-1], return_index=True, return_inverse=True)
            last = steps - latest[node.reshape(-1)[::-1]]
            alike = did[last] == did
            to_same = alike & (came[last] == came)
            took = same[last]
            lone = lone - (took == 1) + (took == 2)
            n, won = n - 1, won - success
            same, same_won = same - alike, same_won - success * alike
            to, to_won = to - to_same, to_won - success * to_same
        won, same_won, to_won = (  # rounded, so that the order of the runs decides no tie
            np.clip(np.round(w, 12), 0.0, k) for w, k in ((won, n), (same_won, same), (to_won, to))
        )
        return Counts(n, won, same, same_won, to, to_won, lone), bool(limited)


def _both(a: Ints, b: Ints, size: int) -> Ints:
    """One number for each pair (a, b), b from `STOP` to size - 1."""
    return a * (size + 1) + b - STOP
