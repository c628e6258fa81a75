"""Solutions as wholes: from scores of steps to one of the solution, from solutions to an answer."""

from collections.abc import Hashable, Sequence
from typing import Literal

import numpy as np

from stepcredit.data.layout import Floats, Ints
from stepcredit.errors import LayoutError, UnknownName

Aggregate = Literal["last", "min", "product", "mean", "max", "sum_log", "sum_logit"]
AGGREGATES = ("last", "min", "product", "mean", "max", "sum_log", "sum_logit")
_EDGE = 1e-7


def aggregate(scores: Floats, offsets: Ints, how: Aggregate = "last") -> Floats:
    """[N] score of each solution from those of its steps.

        last s_T, min, product, mean, max, sum_log: sum_t log s_t, sum_logit: sum_t log(s_t / (1 - s_t))

    scores: [S] of all steps, solution after solution. offsets: [N + 1], solution i has steps offsets[i]:offsets[i + 1].
    A step without a score (NaN) leaves its solution without one, as does having no steps; "last" reads the last alone.
    In the logarithms scores are held within [1e-7, 1 - 1e-7].

    Raises:
        UnknownName: no such rule. LayoutError: offsets that do not fit.

    >>> aggregate(np.array([0.9, 0.8, 0.4, 0.6, 0.7, 0.7]), np.array([0, 3, 6]), "min").tolist()
    [0.4, 0.6]
    """
    s, at = np.asarray(scores, float), np.asarray(offsets, np.int64)
    if how not in AGGREGATES:
        raise UnknownName("way to aggregate scores of steps", how, AGGREGATES)
    if at.size < 1 or at[0] != 0 or at[-1] != s.size or np.any(np.diff(at) < 0):
        raise LayoutError(f"offsets must rise from 0 to the {s.size} scores; got {at.tolist()[:8]}")
    full = np.flatnonzero(np.diff(at))
    out = np.full(at.size - 1, np.nan)
    if not full.size:
        return out
    starts, ends = at[full], at[full + 1]
    if how == "last":
        out[full] = s[ends - 1]
        return out
    held = np.clip(s, _EDGE, 1 - _EDGE)
    match how:
        case "min":
            out[full] = np.minimum.reduceat(s, starts)
        case "max":
            out[full] = np.maximum.reduceat(s, starts)
        case "product":
            out[full] = np.multiply.reduceat(s, starts)
        case "mean":
            out[full] = np.add.reduceat(s, starts) / (ends - starts)
        case "sum_log":
            out[full] = np.add.reduceat(np.log(held), starts)
        case _:
            out[full] = np.add.reduceat(np.log(held) - np.log1p(-held), starts)
    return out


def weighted_vote(answers: Sequence[Hashable | None], weights: Floats | None = None) -> int | None:
    """Place of the first solution with the answer that weighs most; weights None = each counts one (plurality).

    An answer's weight is the sum of those of its solutions; of equal answers the first seen wins. A solution without an
    answer (None) or without a weight (NaN) does not vote; None where nobody does.

    >>> weighted_vote(["12", "12", "15"], np.array([0.4, 0.7, 0.9]))
    0
    """
    w = np.ones(len(answers)) if weights is None else np.asarray(weights, float)
    if w.size != len(answers):
        raise LayoutError(f"{w.size} weights for {len(answers)} answers")
    total: dict[Hashable, float] = {}
    first: dict[Hashable, int] = {}
    for i, (answer, weight) in enumerate(zip(answers, w.tolist(), strict=True)):
        if answer is not None and weight == weight:
            total[answer] = total.get(answer, 0.0) + weight
            first.setdefault(answer, i)
    return first[max(total, key=total.__getitem__)] if total else None


def highest(scores: Floats) -> int | None:
    """Place of the largest score, the first of equals; NaN is no score. None where there is none."""
    s = np.asarray(scores, float)
    return None if not s.size or np.isnan(s).all() else int(np.nanargmax(s))
