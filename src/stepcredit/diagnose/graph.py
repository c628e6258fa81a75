"""The rollouts of one task as a graph of states, or, where states are not known, as a tree of what was done."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, pairwise
from typing import Any, Literal, NamedTuple

import numpy as np

from stepcredit.data.layout import Floats, Ints
from stepcredit.data.records import Rollout, Step
from stepcredit.diagnose.chances import chances
from stepcredit.diagnose.features import action_key, shown
from stepcredit.errors import DataError, StepCreditError
from stepcredit.ops import wilson

STOP = -1
"""What a rollout did at the node where it ended."""


class Departures(NamedTuple):
    """How each rollout last left each node that it passed: [D] rows sorted by node, then rollout; those of node n are
    `start[n]:start[n + 1]`.

    rollout. action: `STOP` where it ended there. next: the node after; `STOP` likewise. ahead: steps it still took.
    """

    start: Ints
    rollout: Ints
    action: Ints
    next: Ints
    ahead: Ints


@dataclass(frozen=True, eq=False)
class Graph:
    """Rollouts as paths through nodes; a rollout of n steps passes n + 1 of them.

    kind: "states" if steps name the states they were taken in, else "tree". names: [R] of the rollouts.
    success: [R] outcome from 0 to 1, NaN = unknown; outcomes of another scale are put between the least and the most of
    the task. start: [R + 1] steps of rollout r are `start[r]:start[r + 1]`. shared: [R] how many of them are stored
    with earlier rollouts. u, action, t: [P] node before each step, what was done, node after. states: [N] key of each
    node, None = not known. examples: a step of each action.
    """

    kind: Literal["states", "tree"]
    names: tuple[Hashable, ...]
    success: Floats
    start: Ints
    shared: Ints
    u: Ints
    action: Ints
    t: Ints
    ends: Ints
    states: tuple[Hashable, ...]
    examples: tuple[Step, ...]

    @property
    def size(self) -> int:
        """Number of nodes."""
        return len(self.states)

    @cached_property
    def length(self) -> Ints:
        """[R] steps of each rollout."""
        return np.diff(self.start)

    @cached_property
    def rollout(self) -> Ints:
        """[P] rollout of each step."""
        return np.repeat(np.arange(self.length.size), self.length)

    @cached_property
    def turn(self) -> Ints:
        """[P] place of each step in its rollout, from 0."""
        return np.arange(self.u.size) - self.start[:-1][self.rollout]

    def words(self, action: int) -> str:
        """An action in a few words."""
        return said(self.examples[action])

    def path(self, rollout: int) -> Ints:
        """[n + 1] the nodes that a rollout passed."""
        return np.append(self.u[self.start[rollout] : self.start[rollout + 1]], self.ends[rollout])

    @cached_property
    def passed(self) -> tuple[Ints, Ints]:
        """([D], [D]) node and rollout of each pair that met, sorted by node."""
        left = self.departures
        return np.repeat(np.arange(self.size), np.diff(left.start)), left.rollout

    @cached_property
    def departures(self) -> Departures:
        """The last way each rollout left each node."""
        runs = np.arange(self.length.size)
        node, rollout = np.append(self.u, self.ends), np.append(self.rollout, runs)
        ahead = np.append(self.length[self.rollout] - self.turn, np.zeros_like(runs))
        stop = np.full(runs.size, STOP)
        order = np.lexsort((ahead, rollout, node))
        by, who = node[order], rollout[order]
        last = np.ones(order.size, bool)
        last[1:] = (by[1:] != by[:-1]) | (who[1:] != who[:-1])
        kept = order[last]
        start = np.zeros(self.size + 1, np.int64)
        np.cumsum(np.bincount(node[kept], minlength=self.size), out=start[1:])
        done, after = np.append(self.action, stop), np.append(self.t, stop)
        return Departures(start, rollout[kept], done[kept], after[kept], ahead[kept])

    @cached_property
    def visits(self) -> Ints:
        """[N] how often each node was passed, returns counted."""
        return np.bincount(np.append(self.u, self.ends), minlength=self.size)

    @cached_property
    def depth(self) -> Ints:
        """[N] the fewest steps that a rollout took to the node."""
        depth = np.full(self.size, self.u.size + 1)
        np.minimum.at(depth, self.u, self.turn)
        np.minimum.at(depth, self.ends, self.length)
        return depth

    @cached_property
    def tries(self) -> tuple[Floats, Floats]:
        """([N], [N]) rollouts of known outcome that passed each node, and the sum of their success."""
        node, rollout = self.passed
        known = ~np.isnan(self.success[rollout])
        won = np.bincount(node[known], weights=self.success[rollout[known]], minlength=self.size)
        return np.asarray(np.bincount(node[known], minlength=self.size), float), np.asarray(won, float)

    @cached_property
    def value(self) -> Floats:
        """[N] chance of success from each node in the chain of what was seen; NaN where no outcome is known.

            V(s) = (sum over the passes of s of V(next), or of the outcome where one ended) / passes

        Rollouts of unknown outcome are left out. NaN too where a tangle of thousands of nodes leaves more than
        `chances.SETTLED` open.
        """
        tries, won = self.tries
        value = np.full(self.size, np.nan)
        np.divide(won, tries, out=value, where=tries > 0)
        known = ~np.isnan(self.success)
        at, end = known[self.rollout], np.flatnonzero(known)
        return chances(self.u[at], self.t[at], self.ends[end], self.success[end], value)

    def first_divergence(self, rollout: int, sibling: int) -> tuple[int, int] | None:
        """The step at which a rollout first does something else than its sibling in the same place, and that of the
        sibling; None if one of them ended before they parted, or they part in a step stored with another rollout.

        Raises:
            StepCreditError: there is no such rollout.
        """
        for r in (rollout, sibling):
            if not 0 <= r < self.length.size:
                raise StepCreditError(f"no rollout {r}: the graph holds {self.length.size}")
        mine, its = (slice(self.start[r], self.start[r + 1]) for r in (rollout, sibling))
        size = min(int(self.length[rollout]), int(self.length[sibling]))
        same = (self.action[mine][:size] == self.action[its][:size]) & (self.t[mine][:size] == self.t[its][:size])
        if same.all() or self.path(rollout)[0] != self.path(sibling)[0]:
            return None
        at = int(np.argmin(same))
        own, other = at - int(self.shared[rollout]), at - int(self.shared[sibling])
        return None if own < 0 or other < 0 else (own, other)

    def in_common(self, rollout: int) -> Ints:
        """[R] the number of first steps, those stored with another rollout included, that each rollout has in common
        with this one: the same done, and the same node after."""
        mine = slice(self.start[rollout], self.start[rollout + 1])
        place = np.minimum(self.turn, self.length[rollout] - 1)
        out = np.minimum(self.length, self.length[rollout])
        if self.length[rollout]:
            same = (self.action == self.action[mine][place]) & (self.t == self.t[mine][place])
            apart = ~same & (self.turn < self.length[rollout])
            np.minimum.at(out, self.rollout[apart], self.turn[apart])
        first = np.where(self.length > 0, np.append(self.u, -1)[self.start[:-1]], self.ends)
        return np.asarray(np.where(first == first[rollout], out, 0))

    def to_dict(self, limit: int = 500, ids: Sequence[Any] | None = None) -> dict[str, Any]:
        """The graph as JSON holds it.

        Args:
            limit: most nodes; the most visited are kept, of equals the first met, and `cut` says what is missing.
            ids: [R] how rollouts are named in it; None: 0, 1, ...

        Nodes: id, depth, visits, success (share; null = no outcome known), low, high (Wilson, 95%, over rollouts),
        value, label, state, end (rollouts that ended there), runs. Edges, one per action and node after: from,
        to, visits, success, low, high, label, steps (pairs of rollout and step).
        """
        order = np.lexsort((np.arange(self.size), self.depth, -self.visits))
        kept = np.sort(order[:limit])
        shown_as = np.full(self.size, -1)
        shown_as[kept] = np.arange(kept.size)
        edges = self._edges(shown_as, ids)
        cut = None
        if kept.size < self.size:
            cut = f"{kept.size} of {self.size} nodes are shown, the most visited"
        return {"kind": self.kind, "nodes": self._nodes(kept, ids), "edges": edges, "cut": cut}

    def _nodes(self, kept: Ints, ids: Sequence[Any] | None) -> list[dict[str, Any]]:
        tries, won = self.tries
        low, high = wilson(won, tries)
        ended = np.bincount(self.ends, minlength=self.size)
        start, who = self.departures.start, self.departures.rollout
        into = np.full(self.size, STOP)
        into[self.t[::-1]] = self.action[::-1]
        out = []
        for number, n in enumerate(kept.tolist()):
            known = tries[n] > 0
            state = self.states[n]
            led = "start" if into[n] == STOP else self.words(into[n])
            out.append(
                {
                    "id": number,
                    "depth": int(self.depth[n]),
                    "visits": int(self.visits[n]),
                    "success": float(won[n] / tries[n]) if known else None,
                    "low": float(low[n]) if known else None,
                    "high": float(high[n]) if known else None,
                    "value": None if np.isnan(self.value[n]) else float(self.value[n]),
                    "label": led if state is None else shown(state),
                    "state": None if state is None else str(state),
                    "end": int(ended[n]),
                    "runs": [r if ids is None else ids[r] for r in who[start[n] : start[n + 1]].tolist()],
                }
            )
        return out

    def _edges(self, shown_as: Ints, ids: Sequence[Any] | None) -> list[dict[str, Any]]:
        at = np.flatnonzero((shown_as[self.u] >= 0) & (shown_as[self.t] >= 0))
        order = at[np.lexsort((at, self.t[at], self.action[at], self.u[at]))]
        new = np.ones(order.size, bool)
        for key in (self.u, self.action, self.t):
            new[1:] &= key[order][1:] == key[order][:-1]
        new[1:] = ~new[1:]
        turn = self.turn - self.shared[self.rollout]
        out = []
        for rows in np.split(order, np.flatnonzero(new)[1:]) if order.size else []:
            runs = np.unique(self.rollout[rows])
            known = self.success[runs][~np.isnan(self.success[runs])]
            low, high = wilson(known.sum(), known.size)
            one = int(rows[0])
            where = zip(self.rollout[rows].tolist(), turn[rows].tolist(), strict=True)
            out.append(
                {
                    "from": int(shown_as[self.u[one]]),
                    "to": int(shown_as[self.t[one]]),
                    "visits": int(rows.size),
                    "success": float(known.mean()) if known.size else None,
                    "low": float(low) if known.size else None,
                    "high": float(high) if known.size else None,
                    "label": self.words(self.action[one]),
                    "steps": [[r if ids is None else ids[r], t] for r, t in where],
                }
            )
        return out


def state_graph(rollouts: Sequence[Rollout]) -> Graph:
    """The graph of the rollouts of one task.

    Steps taken in equal states start from one node. A place whose state is not known is named by the node before and
    what was done there, so that without any states rollouts which began with the same actions share a path: a tree.
    What was done is the step's `action`, else its tool calls, arguments in one order, else its text, blanks made one;
    a step without any of them equals no other. Rollouts of one task start in one node where their first state is not
    known. The node after a step is that of the next one; after the last, of `final_state`, else of `next_state`.

    Raises:
        DataError: a prefix that names no earlier step.
    """
    nodes: dict[Hashable, int] = {}
    states: list[Hashable] = []
    actions: dict[Hashable, int] = {}
    examples: list[Step] = []
    u: list[int] = []
    done: list[int] = []
    t: list[int] = []
    ends: list[int] = []
    length: list[int] = []

    def node(state: Hashable, otherwise: Hashable) -> int:
        known = state is not None and state == state
        key = ("state", state) if known else ("way", otherwise)
        found = nodes.setdefault(key, len(states))
        if found == len(states):
            states.append(state if known else None)
        return found

    for path, last in zip(_paths(rollouts), (r.final_state for r in rollouts), strict=True):
        here = node(path[0].state if path else last, "start")
        length.append(len(path))
        for step, after in pairwise(chain(path, [None])):
            assert step is not None
            key = action_key(step)
            what = actions.setdefault(("unlike", len(u)) if key is None else key, len(examples))
            if what == len(examples):
                examples.append(step)
            state = last if after is None else after.state
            there = node(step.next_state if state is None else state, (here, what))
            u.append(here)
            done.append(what)
            t.append(there)
            here = there
        ends.append(here)
    return Graph(
        kind="states" if any(states[n] is not None for n in u) else "tree",
        names=tuple(r.rollout for r in rollouts),
        success=scaled([r.outcome for r in rollouts]),
        start=np.cumsum([0, *length]),
        shared=np.array([len(r.prefix) for r in rollouts], np.int64),
        u=np.array(u, np.int64),
        action=np.array(done, np.int64),
        t=np.array(t, np.int64),
        ends=np.array(ends, np.int64),
        states=tuple(states),
        examples=tuple(examples),
    )


def scaled(outcomes: Sequence[float | None]) -> Floats:
    """[R] success from 0 to 1: outcomes between 0 and 1 as they are; others between the least and the most of them, or,
    if all are equal, 1 above 0 and 0 else. NaN = unknown.

    >>> scaled([1, 0, None]), scaled([-1, 1, 0]), scaled([7])
    (array([ 1.,  0., nan]), array([0. , 1. , 0.5]), array([1.]))
    """
    given = np.array(outcomes, dtype=float)
    known = given[~np.isnan(given)]
    if not known.size or (known.min() >= 0 and known.max() <= 1):
        return given
    if np.isinf(known).any():  # beside what is endless all else is one
        given = np.where(np.isfinite(given), 0.0, np.sign(given))
        known = given[~np.isnan(given)]
    low, high = known.min(), known.max()
    if high / 2 - low / 2 > np.finfo(float).max / 2:  # their distance is no number, that of their halves is
        given, low, high = given / 2, low / 2, high / 2
    return np.where(np.isnan(given), np.nan, given > 0) if low == high else (given - low) / (high - low)


def said(step: Step) -> str:
    """A step in a few words: its action, the tools it called, or the beginning of its text."""
    if step.tool_calls:
        return shown(", ".join(f"{c.name}({shown(c.arguments, 60)})" for c in step.tool_calls[:3]))
    if step.action is not None:
        return shown(step.action)
    return shown(step.text or "(nothing)")


def _paths(rollouts: Sequence[Rollout]) -> list[list[Step]]:
    """Steps of each rollout, those stored with earlier ones included."""
    stored: dict[str, Step] = {}
    out = []
    for rollout in rollouts:
        lost = [name for name in rollout.prefix if name not in stored]
        if lost:
            raise DataError(f"prefix names step {lost[0]!r}, which no earlier rollout holds", rollout=rollout.rollout)
        out.append([*(stored[name] for name in rollout.prefix), *rollout.steps])
        stored.update((s.id, s) for s in rollout.steps if s.id is not None)
    return out
