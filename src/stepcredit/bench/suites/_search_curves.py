"""Accuracy against cost, bootstrapped over tasks: read at a cost, or the cost read at an accuracy."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from stepcredit.bench.paired import interval
from stepcredit.data.layout import Floats

_STEP = 1e-9  # that accuracies which stay equal lie apart, so that the least cost is read

_MANY = 1e12


class Curve:
    """Points of growing cost.

    Args:
        right: [points][tasks] how often right. cost: [points][tasks]. weight: [1 + draws, tasks] of `paired.weights`.
    """

    def __init__(self, right: Sequence[Sequence[float]], cost: Sequence[Sequence[float]], weight: Floats) -> None:
        total = weight.sum(1)
        self.right: Floats = np.array(right) @ weight.T / total
        self.cost: Floats = np.array(cost) @ weight.T / total

    @classmethod
    def of(cls, points: Mapping[str, Mapping[str, Any]], weight: Floats, cost: str = "tokens") -> "Curve":
        """Of cells: number -> what was solved and spent."""
        return cls([p["solved"] for p in points.values()], [p[cost] for p in points.values()], weight)

    def at(self, cost: Floats) -> Floats:
        """[draws] accuracy at this cost, linear in its logarithm; beyond the ends that of the end."""
        x, known = np.log(np.maximum(cost, 1e-9)), np.log(self.cost)
        return np.array([np.interp(x[b], known[:, b], self.right[:, b]) for b in range(x.size)])

    def needs(self, right: Floats) -> Floats:
        """[draws] least cost at which it is as accurate; inf where it never is, the first where it is so before."""
        best = np.maximum.accumulate(self.right, axis=0) + _STEP * np.arange(len(self.right))[:, None]
        known = np.log(self.cost)
        at = [np.interp(right[b], best[:, b], known[:, b], right=np.inf) for b in range(right.size)]
        return np.where(right > self.right.max(0) + 1e-9, np.inf, np.exp(np.minimum(at, known[-1])))

    def times(self, right: Floats, cost: Floats) -> Floats:
        """[draws] how many times this cost it needs to be as accurate; inf = it never is."""
        return self.needs(right) / cost

    def ends_before(self, cost: Floats) -> bool:
        """Whether a cost is beyond its last point, of all tasks."""
        return bool(cost[0] > self.cost[-1, 0])


def mean(values: Sequence[float], weight: Floats) -> Floats:
    """[draws] of a figure of each task."""
    return np.asarray(weight @ np.array(values, float) / weight.sum(1))


def told(name: str, drawn: Floats) -> dict[str, Any]:
    """A figure and its 90% interval, as a row tells them."""
    return {name: float(drawn[0]), f"{name}_interval": interval(drawn[1:])}


def factor(name: str, drawn: Floats, last: Floats) -> dict[str, Any]:
    """A factor and its 90% interval, which may end at inf. Where it is inf for all tasks it is told as that of the
    `last` cost that was measured, and `name`_at_least says so."""
    low, high = interval(np.minimum(drawn[1:], _MANY))
    ends = [x if x < _MANY / 2 else np.inf for x in (low, high)]
    never = bool(np.isinf(drawn[0]))
    return {name: float(last[0] if never else drawn[0]), f"{name}_interval": ends, f"{name}_at_least": never}


def between(at: Sequence[float] | None, digits: int = 2) -> str:
    """An interval, to be read."""
    if at is not None and at[1] == np.inf:
        return f"[{at[0]:.{digits}f}, ∞)" if at[0] < np.inf else "∞"
    return "–" if at is None or at[0] != at[0] else f"[{at[0]:.{digits}f}, {at[1]:.{digits}f}]"
