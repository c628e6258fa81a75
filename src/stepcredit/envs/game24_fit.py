"""A tabular policy of Game of 24 fitted to lines that a model wrote: a twin of the model whose exact values are known.

>>> twin = fit([("4 5 6 10", ["10 - 4 = 6 (left: 5 6 6)", "5 * 6 = 30", "30 - 6 = 24"])])
>>> twin.slip, twin.stop
(0.0, 0.0)
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stepcredit.envs.game24 import Policy, actions, key, parse, solvable
from stepcredit.errors import StepCreditError

Floats = NDArray[np.float64]

OPTIONS = ("skill", "minus", "times", "divide", "size", "negative", "fraction", "finish")
_WIDE = 10.0  # standard deviation of a normal prior of every option: holds what the lines say nothing about near 0
_START = 1.0  # quirk at which the search begins
_ROUNDS, _ENOUGH, _STEP = 40, 1e-3, 1e-4


def fit(rollouts: Iterable[tuple[str, Sequence[str]]], *, seed: int = 0) -> Policy:
    """The policy under which the lines are likeliest; `plus` is 0, as only differences of operators matter.

        slip, stop: their shares among the choices made with two or more numbers left
        others: argmax of  sum_s log E_e prod_a softmax(l(s, .) + quirk e)_a ^ n(s, a)

    n(s, a) counts right operations, over all puzzles. The mean over the quirks e of a state (standard logistic, one per
    action) is Laplace's approximation, so `quirk` is told by how far choices concentrate beyond what the other options
    explain. It is drawn to the middle (3 comes out as 2.7, 2 as 1.9, 1 as 1, 0.5 as 0.65). A rollout is followed to
    its first wrong line; what was chosen there is not counted, nor lines of more than one operation.

    Args:
        rollouts: puzzle and lines of each; as many rollouts of a puzzle as there are.
        seed: of the policy; it decides which actions the policy is partial to, and is not fitted.

    Raises:
        StepCreditError: no line is a right operation on numbers that are left.
    """
    counts, slips, stops = _seen(rollouts)
    right = sum(sum(c.values()) for c in counts.values())
    if not right:
        raise StepCreditError(
            "no line is a right operation of Game of 24, so there is no policy to fit",
            hint="lines like '10 - 4 = 6 (left: 5 6 6)'",
        )
    states = _tables(counts)
    chosen = right + slips + stops
    best = _likeliest(states, np.append(np.zeros(len(OPTIONS)), math.log(_START)))
    told = dict(zip(OPTIONS, best.tolist(), strict=False))
    return Policy(seed=seed, plus=0.0, quirk=float(np.exp(best[-1])), slip=slips / chosen, stop=stops / chosen, **told)


def _seen(rollouts: Iterable[tuple[str, Sequence[str]]]) -> tuple[dict[str, Counter[str]], int, int]:
    """State -> action -> how often; wrong lines; rollouts given up. Each with two or more numbers left."""
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    slips = stops = 0
    for puzzle, lines in rollouts:
        state: str | None = key(puzzle)
        for text in lines:
            line = None if state is None or " " not in state else parse(text, state)
            if line is None or state is None:
                continue
            slips += line.fault is not None
            if line.after is not None and len(line.op) == 1:
                a, b = line.numbers
                a, b = (max(a, b), min(a, b)) if line.op in "+*" else (a, b)
                counts[state][next(x.key for x in actions(state) if (x.a, x.op, x.b) == (a, line.op, b))] += 1
            elif line.after is not None:
                state = None  # several operations at once: no choice of the policy
                break
            state = None if line.after is None else key(line.after)
        stops += state is not None and " " in state
    return counts, slips, stops


class _States(NamedTuple):
    """States of as many numbers: features [N, A, F] of their actions, [N, A] how often each was chosen, and legal."""

    features: Floats
    chosen: Floats
    legal: NDArray[np.bool_]


def _tables(counts: dict[str, Counter[str]]) -> list[_States]:
    alike: defaultdict[int, list[str]] = defaultdict(list)
    for state in counts:
        alike[state.count(" ")].append(state)
    return [_table(states, counts) for states in alike.values()]


def _table(states: Sequence[str], counts: dict[str, Counter[str]]) -> _States:
    options = [actions(state) for state in states]
    shape = len(states), max(map(len, options))
    table = _States(np.zeros((*shape, len(OPTIONS))), np.zeros(shape), np.zeros(shape, bool))
    for i, (state, legal) in enumerate(zip(states, options, strict=True)):
        table.legal[i, : len(legal)] = True
        table.chosen[i, : len(legal)] = [counts[state][a.key] for a in legal]
        table.features[i, : len(legal)] = [
            (
                solvable(a.after) and len(a.after) > 1,
                a.op == "-",
                a.op == "*",
                a.op == "/",
                math.log2(1 + abs(a.result)),
                a.result < 0,
                a.result.denominator > 1,
                solvable(a.after) and len(a.after) == 1,
            )
            for a in legal
        ]
    return table


def _likeliest(states: Sequence[_States], at: Floats) -> Floats:
    """Ascent by the scores of the states (Berndt, Hall, Hall and Hausman 1974), by finite differences."""
    quirks = [np.zeros_like(table.chosen) for table in states]

    def likelihood(x: Floats) -> Floats:
        return np.concatenate(
            [_marginal(t, x[:-1], float(np.exp(x[-1])), e) for t, e in zip(states, quirks, strict=True)]
        )

    def total(x: Floats, of: Floats) -> float:
        return float(of.sum() - (x @ x) / (2 * _WIDE**2))

    here = likelihood(at)
    for _ in range(_ROUNDS):
        moved = at + _STEP * np.eye(at.size)
        scores = np.stack([(likelihood(x) - here) / _STEP for x in moved])
        slope = scores.sum(1) - at / _WIDE**2
        step = np.linalg.solve(scores @ scores.T + np.eye(at.size) / _WIDE**2, slope)
        step *= min(1.0, 2.0 / np.abs(step).max())
        before = total(at, here)
        for _ in range(12):
            there = likelihood(at + step)
            gain = total(at + step, there) - before
            if gain > 0:
                break
            step /= 2
        if gain <= 0:
            return at
        at, here = at + step, there
        if gain < _ENOUGH:
            return at
    return at


def _marginal(table: _States, option: Floats, quirk: float, e: Floats) -> Floats:
    """[N] log chance of the choices made in each state, Laplace's approximation over the quirks.

    e: [N, A] where the search for the likeliest quirks begins; it is left where it ends.

    The curvature is diagonal less one outer product, D - u u', so that a Newton step and the determinant cost O(A).
    """
    level = np.where(table.legal, table.features @ option, -np.inf)
    times = table.chosen.sum(1, keepdims=True)
    for _ in range(50):
        logits = level + quirk * e
        p = np.exp(logits - logits.max(1, keepdims=True))
        p /= p.sum(1, keepdims=True)
        tame = np.tanh(e / 2)
        diagonal = quirk**2 * times * p + (1 - tame**2) / 2
        u = quirk * np.sqrt(times) * p
        slope = quirk * (table.chosen - times * p) - tame
        left = 1 - (u * u / diagonal).sum(1, keepdims=True)
        step = (slope + u * ((u * slope / diagonal).sum(1, keepdims=True) / left)) / diagonal
        largest = np.abs(step).max()
        if largest < 1e-7:
            break
        e += step * np.minimum(1, 1 / np.abs(step).max(1, keepdims=True).clip(1e-12))
    chosen = (table.chosen * np.log(np.where(table.chosen > 0, p, 1))).sum(1)
    density = -2 * np.log(np.cosh(e / 2)).sum(1)
    curvature = np.log(np.where(table.legal, diagonal, 1)).sum(1) + np.log(left[:, 0])
    marginal: Floats = chosen + density - curvature / 2
    return marginal
