"""The chance of success from every place of a chain that was seen to be passed."""

from heapq import heapify, heappop, heappush
from typing import NamedTuple

import numpy as np

from stepcredit.data.layout import Floats, Ints

SETTLED = 1e-6
"""The most that a chance may be off; NaN where more is left open."""
_FILL, _DENSE, _SWEEPS, _CLOSE = 4096, 2000, 10_000, 1e-12


class _Rows(NamedTuple):
    """Of each place: how often others followed it, how often a run ended there, the success of these."""

    out: list[dict[int, float]]
    ended: list[float]
    won: list[float]

    def left(self, s: int) -> float:
        """How often a place was left for another one, or a run ended there."""
        return sum(self.out[s].values()) + self.ended[s]


def chances(u: Ints, t: Ints, ends: Ints, success: Floats, guess: Floats) -> Floats:
    """[N] V(s) = (sum over the passes of s of V(next), or of the success of the run that ended) / passes.

    Where V is not the guess, places are taken out one by one, those with the fewest neighbors first, what led to them
    led on to what they led to (no number is taken from another, so none is lost); if what is left is too much entangled
    for that, it is solved at once; and if that is more than 2,000 places, by sweeps from below and from above, which
    hold the truth between them.

    Args:
        u, t: [P] place before and after each step. ends: [R] place where each run ended. success: [R] of it.
        guess: [N] what V would be if no place led back; NaN where none was passed.
    """
    size = guess.size
    if _gap(u, t, ends, success, guess) <= _CLOSE:
        return guess
    pairs, times = np.unique(u * size + t, return_counts=True)
    rows = _Rows(
        [{} for _ in range(size)],
        np.bincount(ends, minlength=size).astype(float).tolist(),
        np.bincount(ends, success, size).tolist(),
    )
    into: list[set[int]] = [set() for _ in range(size)]
    for pair, n in zip(pairs.tolist(), times.tolist(), strict=True):
        a, b = divmod(pair, size)
        if a != b:
            rows.out[a][b] = float(n)
            into[b].add(a)
    known = np.flatnonzero(~np.isnan(guess)).tolist()
    gone = _taken_out(rows, into, known)
    value = np.full(size, np.nan)
    rest = np.array(sorted(set(known) - set(gone)), np.int64)
    if rest.size:
        value[rest] = _solved(rows, rest)
    for s in reversed(gone):
        value[s] = (sum(n * value[to] for to, n in rows.out[s].items()) + rows.won[s]) / rows.left(s)
    return value


def _gap(u: Ints, t: Ints, ends: Ints, success: Floats, value: Floats) -> float:
    size = value.size
    passes = np.bincount(np.append(u, ends), minlength=size)
    mean = (np.bincount(u, value[t], size) + np.bincount(ends, success, size)) / np.maximum(passes, 1)
    return float(np.max(np.abs(mean - value), initial=0.0, where=passes > 0))


def _taken_out(rows: _Rows, into: list[set[int]], places: list[int]) -> list[int]:
    """The places taken out, in order: their rows name only those that are left after them."""
    waiting = [(len(into[s]) * len(rows.out[s]), s) for s in places]
    heapify(waiting)
    gone: list[int] = []
    while waiting:
        cost, s = heappop(waiting)
        now = len(into[s]) * len(rows.out[s])
        if now > cost:
            heappush(waiting, (now, s))
            continue
        if now > _FILL:
            break
        left = rows.left(s)
        for to in rows.out[s]:
            into[to].discard(s)
        for p in into[s]:
            part = rows.out[p].pop(s) / left
            rows.ended[p] += part * rows.ended[s]
            rows.won[p] += part * rows.won[s]
            for to, n in rows.out[s].items():
                if to != p:
                    rows.out[p][to] = rows.out[p].get(to, 0.0) + part * n
                    into[to].add(p)
        gone.append(s)
    return gone


def _solved(rows: _Rows, rest: Ints) -> Floats:
    place = {s: i for i, s in enumerate(rest.tolist())}
    edges = [(i, place[to], n) for s, i in place.items() for to, n in rows.out[s].items()]
    a, b, n = (np.array(column) for column in zip(*edges, strict=True))
    left, won = (np.array([f(s) for s in place]) for f in (rows.left, rows.won.__getitem__))
    if rest.size <= _DENSE:
        matrix = np.diag(left)
        matrix[a, b] -= n
        return np.asarray(np.clip(np.linalg.solve(matrix, won), 0.0, 1.0))
    low, high = np.zeros(rest.size), np.ones(rest.size)
    for _ in range(_SWEEPS):
        low, high = ((np.bincount(a, n * v[b], rest.size) + won) / left for v in (low, high))
        if np.max(high - low) <= _CLOSE:
            break
    return np.where(high - low <= 2 * SETTLED, (low + high) / 2, np.nan)
